//! The media, on interfaces made for the test in a network namespace of its own.

mod network;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use heartbeatd::config::{Medium, Udp};
use heartbeatd::media::{Interfaces, Media, Notice, Packet};
use lvs::netlink::route::Client;
use network::{await_carrier, cable, in_a_network_of_its_own, ip};

/// All packets until there are `count` of them, as link and text.
async fn hear(media: &mut Media, count: usize) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        media.ready().await;
        let mut took = Vec::new();
        media.take(64, |link, bytes| took.push((link, String::from_utf8_lossy(bytes).into_owned())));
        heard.extend(took.into_iter().map(|(link, text)| (media.links()[link].name().to_owned(), text)));
    }
    heard
}

fn packet(datagram: &[u8]) -> Packet {
    Packet { datagram: datagram.to_owned(), text: None }
}

fn shown(notices: &[Notice]) -> Vec<String> {
    notices.iter().map(ToString::to_string).collect()
}

fn refresh(media: &mut Media) -> Vec<String> {
    let interfaces = Interfaces::list(&mut Client::open().unwrap()).unwrap();
    shown(&media.refresh(&interfaces, Instant::now()))
}

fn ucast() -> Udp {
    Udp::Ucast { interface: "lo".into(), peer: [127, 0, 0, 1].into(), port: 694 }
}

#[test]
fn every_kind_of_medium_carries_a_packet() {
    in_a_network_of_its_own("every_kind_of_medium_carries_a_packet", async {
        cable("10.99.0.1/24");
        let hb0 = || "hb0".to_owned();
        let media = [
            ucast(),
            Udp::Ucast6 { interface: "lo".into(), peer: [0, 0, 0, 0, 0, 0, 0, 1].into(), port: 694 },
            Udp::Bcast { interface: hb0(), port: 694 },
            Udp::Mcast { interface: hb0(), group: [239, 0, 0, 1].into(), port: 695, ttl: 1, loopback: true },
            Udp::Mcast6 { interface: hb0(), group: "ff02::1:694".parse().unwrap(), port: 696, hops: 1, loopback: true },
        ];
        for medium in media.map(Medium::Udp) {
            let mut one = Media::new(std::slice::from_ref(&medium));
            // A fresh IPv6 address is on probation for a second or two; sending is tried again as a
            // daemon does it.
            let mut every = tokio::time::interval(Duration::from_millis(50));
            assert_eq!(refresh(&mut one), [format!("{medium}: open")]);
            let heard = loop {
                tokio::select! {
                    _ = every.tick() => { one.send(&packet(b"hello")); }
                    () = one.ready() => break hear(&mut one, 1).await,
                }
            };
            assert_eq!(heard[0], (medium.link().to_owned(), "hello".to_owned()), "{medium}");
            assert!(one.links()[0].sent() >= 1 && one.links()[0].received() >= 1);
        }
    });
}

#[test]
fn a_medium_waits_for_its_interface_and_follows_it() {
    in_a_network_of_its_own("a_medium_waits_for_its_interface_and_follows_it", async {
        let mut media = Media::new(&[Udp::Bcast { interface: "hb0".into(), port: 694 }, ucast()].map(Medium::Udp));
        assert_eq!(refresh(&mut media), ["bcast hb0: waiting for interface hb0", "ucast lo 127.0.0.1: open"]);
        assert_eq!(media.links()[0].trouble().as_deref(), Some("waiting for interface hb0"));
        // Said once.
        assert_eq!(refresh(&mut media), [""; 0]);
        assert_eq!(shown(&media.send(&packet(b"one"))), [""; 0]);
        assert_eq!(hear(&mut media, 1).await, [("lo".to_owned(), "one".to_owned())]);

        ip("link add hb0 type veth peer name hb0far");
        assert_eq!(refresh(&mut media), ["bcast hb0: waiting for an address on interface hb0"]);
        ip("link set hb0far up");
        ip("addr add 10.99.0.1/24 dev hb0");
        ip("link set hb0 up");
        await_carrier();
        assert_eq!(refresh(&mut media), ["bcast hb0: open"]);
        assert_eq!(shown(&media.send(&packet(b"two"))), [""; 0]);
        let heard = hear(&mut media, 2).await;
        assert!(heard.contains(&("hb0".to_owned(), "two".to_owned())), "{heard:?}");

        // Down and up is the same interface; a send in between fails once in the log.
        ip("link set hb0 down");
        assert_eq!(media.send(&packet(b"lost")).len(), 1);
        assert_eq!(shown(&media.send(&packet(b"lost"))), [""; 0]);
        assert_eq!(media.links()[0].send_errors(), 2);
        assert!(media.links()[0].trouble().unwrap().starts_with("cannot send: "));
        ip("link set hb0 up");
        await_carrier();
        refresh(&mut media);
        assert_eq!(
            shown(&media.send(&packet(b"three"))),
            ["bcast hb0: sending works again; 2 heartbeats did not leave"]
        );

        // Another interface of the same name, in another network.
        ip("link del hb0");
        assert_eq!(refresh(&mut media), ["bcast hb0: waiting for interface hb0"]);
        cable("10.98.0.1/16");
        assert_eq!(refresh(&mut media), ["bcast hb0: open"]);
        hear(&mut media, 3).await;
        assert_eq!(shown(&media.send(&packet(b"four"))), [""; 0]);
        let heard = hear(&mut media, 2).await;
        assert!(heard.contains(&("hb0".to_owned(), "four".to_owned())), "{heard:?}");

        // The same interface in another network.
        ip("addr flush dev hb0");
        assert_eq!(refresh(&mut media), [""; 0]);
        ip("addr add 10.97.0.1/24 dev hb0");
        assert_eq!(refresh(&mut media), ["bcast hb0: open"]);
        assert_eq!(shown(&media.send(&packet(b"five"))), [""; 0]);
    });
}

#[test]
fn a_flood_is_taken_in_portions_and_every_link_gets_its_turn() {
    in_a_network_of_its_own("a_flood_is_taken_in_portions_and_every_link_gets_its_turn", async {
        cable("10.99.0.1/24");
        let mut media = Media::new(&[ucast(), Udp::Bcast { interface: "hb0".into(), port: 695 }].map(Medium::Udp));
        assert_eq!(refresh(&mut media).len(), 2);
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            stranger.send_to(b"flood", "127.0.0.1:694").unwrap();
        }
        media.send(&packet(b"heartbeat"));
        let mut heard = Vec::new();
        while !heard.contains(&1) {
            media.ready().await;
            let before = heard.len();
            media.take(10, |link, _| heard.push(link));
            assert!(heard.len() <= before + 10);
        }
        assert!(heard.len() <= 20, "the heartbeat came after {} packets of the flood", heard.len());
        hear(&mut media, 102 - heard.len()).await;
        assert_eq!(media.links()[0].received() + media.links()[1].received(), 102);
    });
}

#[test]
fn the_longest_datagram_arrives_whole() {
    in_a_network_of_its_own("the_longest_datagram_arrives_whole", async {
        let mut media = Media::new(&[ucast()].map(Medium::Udp));
        refresh(&mut media);
        assert_eq!(shown(&media.send(&packet(&vec![b'x'; 65_507]))), [""; 0]);
        assert_eq!(hear(&mut media, 1).await[0].1.len(), 65_507);
        assert_eq!(media.send(&packet(&vec![b'x'; 65_508])).len(), 1);
    });
}
