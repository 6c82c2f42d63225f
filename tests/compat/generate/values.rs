//! Arguments of options, well-formed and not; bars between them.

use super::options::Takes;
use crate::chance::Chance;

/// A value for an option; `odd` of a hundred are odd.
pub fn value(takes: Takes, odd: u64, chance: &mut Chance) -> Vec<u8> {
    let odd = chance.percent(odd);
    if odd && chance.percent(5) {
        let length = *chance.pick(&[15_u64, 16, 17, 59, 60, 127, 128, 129, 255, 300, 1023, 4095, 4096, 4097]);
        return chance.pick(&["x", "1", "0", "a.", ",x", ":"]).repeat(length as usize).into_bytes();
    }
    let from = match (takes, odd) {
        (Takes::Nothing, _) => "",
        (Takes::Service, false) => ADDRESSES,
        (Takes::Server, false) => SERVERS,
        (Takes::Service | Takes::Server, true) => NO_ADDRESSES,
        (Takes::Mark, false) => MARKS,
        (Takes::Scheduler, false) => SCHEDULERS,
        (Takes::Scheduler, true) => NO_SCHEDULERS,
        (Takes::Seconds, false) => SECONDS,
        (Takes::Mask, false) => MASKS,
        (Takes::Mask, true) => NO_MASKS,
        (Takes::Engine, false) => "sip",
        (Takes::Engine, true) => "|nosuch|SIP|sip |an-engine-with-a-long-name",
        (Takes::Flags, false) => FLAGS,
        (Takes::Flags, true) => NO_FLAGS,
        (Takes::Number, false) => NUMBERS,
        (Takes::Mark | Takes::Seconds | Takes::Number, true) => ODD_NUMBERS,
        (Takes::Tunnel, false) => TUNNELS,
        (Takes::Tunnel, true) => NO_TUNNELS,
        (Takes::Interface, false) => INTERFACES,
        (Takes::Interface, true) => NO_INTERFACES,
        (Takes::Group, false) => GROUPS,
        (Takes::Group, true) => NO_GROUPS,
        (Takes::Role, false) => ROLES,
        (Takes::Role, true) => NO_ROLES,
    };
    choose(from, chance).into()
}

/// One of a list.
pub fn choose(list: &'static str, chance: &mut Chance) -> &'static str {
    let items: Vec<&str> = list.split('|').collect();
    chance.pick::<&str>(&items)
}

const ADDRESSES: &str = "\
    10.0.0.1:80|10.0.0.1:53|10.0.0.2:443|192.168.0.1:80|[2001:db8::1]:80|[2001:db8::1]:53|[fd00::7]:443|\
    10.0.0.1:http|vip1:80|vip1.example.test:https|10.0.0.3:21|10.0.0.1|2001:db8::1|10.0.0.1:0|\
    [2001:DB8:0:0::1]:sip|[::ffff:10.0.0.1]:80|[::1.2.3.4]:5060|0.0.0.0:80|10.1:80|0x0a000001:0080|\
    012.0.0.1:+80|[10.0.0.1]:80|www:domain|255.255.255.255:65535|[::]:1|[1:2:3:4:5:6:7:8]:80|\
    [1:0:0:4:5:0:0:8]:80|[64:ff9b::102:304]:80|224.0.0.1:80|[ff02::1]:80";
const SERVERS: &str = "\
    10.1.0.1|10.1.0.1:80|10.1.0.2:8080|10.1.0.3:53|rs1:http|rs2|192.168.7.7:80|[2001:db8:1::1]:80|\
    2001:db8:1::2|[fd00::1:7]:8080|10.1.0.1:0|rs1.example.test:http-alt|10.1.0.4:sip|127.0.0.1:80|[::1]:80|\
    [::ffff:10.1.0.1]:80|0.0.0.0:80|224.0.0.1:80|255.255.255.255|[fe80::1]:80|[ff02::1]:80|[::]:80|\
    [10.1.0.1]:80";
const NO_ADDRESSES: &str = "\
    |80|:80|:|10.0.0.1:|10.0.0.1:x|10.0.0.1:65536|10.0.0.1:-1|10.0.0.256:80|nosuch:80|localhost6:80|\
    10.0.0.1:80:90|10.0.0.1 :80| 10.0.0.1:80|10.0.0.1:80 |[|[]|[]:80|]:80|[2001:db8::1]|[2001:db8::1]:|\
    [2001:db8::1]80|[2001:db8::1]:80:90|[::1%lo]:80|fe80::1%lo|2001:db8::1:80:x|::1:|:::80|[vip1]:80|\
    vip6:80|10.0.0.1:00000000080|10.0.0.1: 80|10.0.0.1:0x50|10.0.0.1:HTTP|10.0.0.1:m2ua|-1|[10.0.0.1]|\
    [10.0.0.1]:x|10.0.0.1,80|10.0.0.1/24|1.2.3.4.5:80|vip1.:80|VIP1:80|.:80|10.0.0.1..:80|4294967296:80|\
    167772161:80|\u{e9}:80|10.0.0.1:www|10.0.0.1:99999999999999999999|[2001:db8::1]:-0|[2001:db8::1] :80|\
    a b:80";
const NUMBERS: &str = "\
    1|2|5|0|100|255|6080|65535|2147483647";
const ODD_NUMBERS: &str = "\
    | |-1|-0|+5| 7|\t9|007|08|x|1x|1 |0x10|1.5|1e3|256|65507|65508|65536|2147483648|4294967295|4294967296|\
    4294967297|9223372036854775807|9223372036854775808|99999999999999999999|-2147483648|\
    -9223372036854775809|+|-|--1|\u{ff11}|2678400|2678401";
const SCHEDULERS: &str = "\
    rr|wrr|lc|wlc|sh|mh|dh|sed|nq|fo|ovf|lblc|lblcr";
const NO_SCHEDULERS: &str = "\
    |RR|wlcx|nosuch|a-name-longer-than-fifteen|rr |-|wlc,rr|../rr|ip_vs_rr";
const SECONDS: &str = "\
    1|60|300|360|600|86400|2678400";
const MASKS: &str = "\
    255.255.255.0|255.255.255.255|255.0.0.0|24|64|128|slash24|0.0.0.0|255.0.255.0|1";
const NO_MASKS: &str = "\
    |0|129|-1|64x|x|255.255.255.256|255.255.255|0xffffff00|nosuch| 64|ffff::|32 |4294967296|-128|4294967360";
const FLAGS: &str = "\
    sh-port|sh-fallback|sh-port,sh-fallback|mh-port|mh-fallback,mh-port|flag-1|flag-2|flag-3|\
    flag-1,flag-2,flag-3|flag-3,flag-3";
const NO_FLAGS: &str = "\
    |flag-4|sh-port,|,flag-1|flag-1,,flag-2|FLAG-1|flag-1 |sh-port;x|1";
const TUNNELS: &str = "\
    ipip|gue|gre";
const NO_TUNNELS: &str = "\
    |IPIP|gue |vxlan|gr|gree";
const INTERFACES: &str = "\
    d0|d1|lo";
const NO_INTERFACES: &str = "\
    |nosuch0|an-interface-name-too-long|d0 |d0:1|../d0";
const GROUPS: &str = "\
    224.0.0.81|239.1.2.3|ff02::81|ff05::1:2|232.43.211.234";
const NO_GROUPS: &str = "\
    |10.0.0.1|224.0.0.81.1|ff02::81%d0|2001:db8::1|:|::|224.1|nosuch|ff02::g|0xe0000051| 224.0.0.81|\
    224.0.0.081|239.255.255.255 |ff02::1:224.0.0.81";
const ROLES: &str = "\
    master|backup";
const NO_ROLES: &str = "\
    |Master|both|master |backu|-L";
const MARKS: &str = "\
    1|2|77|2147483647|2147483648|4294967295";
pub const JUNK: &str = "\
    --|-|---|--=x|-=|-q|--bogus|--bogus=3|--lis|-list|-V|-?|--usage|--ipv6=1|-n=|-6=||foo|ipvsadm|-p|\
    --persistent=|-1|--tcp|--udp-servic|-nX|--Numeric|-H|--set=3|-Lnq|-w|--weight|-t|--exact=1|\u{e9}|\
    -\u{e9}|--\u{e9}|-t=|-ct|--sort=yes|--version|-h|-C|--help=1";
