//! The files that names come from in the recorded cases.

/// `/etc/hosts`.
pub const HOSTS: &str = "\
127.0.0.1 localhost
::1 localhost6
10.0.0.1 vip1.example.test vip1
10.0.0.80 www
10.1.0.1 rs1.example.test rs1
10.1.0.2 rs2
10.1.0.3 a-real-server-with-a-rather-long-host-name.datacentre.example.test
10.0.0.3 a-virtual-service-with-a-rather-long-host-name.example.test
255.255.255.0 slash24
2001:db8::1 vip6
2001:db8:1::1 rs6.example.test
2001:db8:1::2 a-six-real-server-with-a-rather-long-host-name.datacentre.example.test
";

/// `/etc/services`.
pub const SERVICES: &str = "\
ftp 21/tcp
ssh 22/tcp
smtp 25/tcp mail
domain 53/tcp
domain 53/udp
http 80/tcp www
ntp 123/udp
https 443/tcp
https 443/udp
syslog 514/udp
m2ua 2904/sctp
sip 5060/tcp
sip 5060/udp
sip 5060/sctp
http-alt 8080/tcp webcache
";
