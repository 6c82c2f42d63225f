//! Files with mistakes, cables that are not there yet, and strangers on the heartbeat port.

use lab::{DIRECTORS, Daemon, Directors, Files, OwnerWatch, Result, VIP, program};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_broken_ldirectord_cf_is_refused_at_start_with_every_mistake_and_its_place() -> Result<()> {
    let files = Files {
        ldirectord: "checkinterval=never\nvirtual=192.168.60.200:80\n\treal=192.168.60.132:80 gatee\n\
                     \tquiescent=perhaps\n\tscheduler=rr\n"
            .to_owned(),
        ..Files::default()
    };
    let pair = Directors::new(&files)?;
    let (status, said) = pair.node("lvs1").try_run(&[&program("ldirectord")?, "ldirectord.cf", "start"])?;
    println!("{said}");
    assert_eq!(status, 2, "{said}");
    for line in ["at line 1:", "at line 3:", "at line 4:", "\treal=192.168.60.132:80 gatee", "^^^^^"] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    Ok(())
}

#[test]
fn a_file_broken_at_reload_leaves_the_old_one_in_force() -> Result<()> {
    let files = Files::default();
    let mut pair = Directors::new(&files)?;
    pair.start_daemon("lvs1", Daemon::Helper)?;
    pair.start_daemon("lvs1", Daemon::Ldirectord)?;
    pair.await_real_servers("lvs1", 2)?;
    pair.write("lvs1", &Files { ldirectord: format!("{}\treal=nonsense\n", files.ldirectord), ..files })?;
    let node = pair.node("lvs1");
    node.run(&["sh", "-c", "kill -HUP $(cat /var/run/ldirectord.ldirectord.cf.pid)"])?;
    node.await_line("/var/log/all.log", "invalid address for real server", SOON)?;
    assert_eq!(pair.real_servers("lvs1")?.len(), 2);
    // It goes on checking by the old file.
    pair.stop_web_server("rs1")?;
    pair.await_real_servers("lvs1", 1)
}

#[test]
fn keys_that_others_can_read_are_refused_and_the_command_to_mend_it_is_named() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    let node = pair.node("lvs1");
    node.write_with_mode("/etc/ha.d/authkeys", &Files::default().authkeys, 0o644)?;
    let (status, said) = node.try_run(&[&program("heartbeatd")?, "start"])?;
    assert_eq!(status, 6, "{said}");
    assert!(said.contains("chmod 600 /etc/ha.d/authkeys"), "{said}");
    assert!(!said.contains("a-secret-of-the-lab"), "{said}");
    Ok(())
}

#[test]
fn a_missing_interface_is_waited_for_and_said() -> Result<()> {
    let files = Files::default();
    let files = Files { ha_cf: format!("{}bcast eth7\n", files.ha_cf), ..files };
    let pair = Directors::new(&files)?;
    let node = pair.node("lvs1");
    pair.start_daemon("lvs1", Daemon::Heartbeatd)?;
    node.await_line("/var/log/all.log", "bcast eth7: waiting for interface eth7", SOON)?;
    node.ip("link add eth7 type dummy\naddress add 10.7.0.1/24 dev eth7\nlink set eth7 up\n")?;
    node.await_line("/var/log/all.log", "bcast eth7: open", SOON).map(drop)
}

/// Ten thousand datagrams a second, none of them signed by the peer.
fn flood(node: &lab::Node, lasting: Duration) -> Result<u64> {
    node.in_network(|| {
        let socket = UdpSocket::bind("192.168.60.10:0").expect("the client has this address");
        let strange: [&[u8]; 4] = [b"###\n5:hello,%%%\n", b"###\n6:(7)a=b,%%%\n", b"###\n1:(,%%%\n", &[0xff; 900]];
        let (start, mut sent) = (Instant::now(), 0_u64);
        while start.elapsed() < lasting {
            let due = u64::try_from(start.elapsed().as_millis()).expect("a few seconds") * 10;
            while sent < due {
                let target = format!("192.168.60.{}:694", 130 + sent % 2);
                // A full queue on the way is part of a flood.
                let _ = socket.send_to(strange[usize::try_from(sent / 2 % 4).expect("below 4")], &target);
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        sent
    })
}

#[test]
fn a_flood_of_strange_datagrams_changes_nothing_and_is_one_line_in_the_log() -> Result<()> {
    let pair = Directors::new(&Files::default())?;
    pair.start_both()?;
    let owners = OwnerWatch::start(&pair.cluster, &DIRECTORS, VIP);
    let sent = flood(pair.node("client"), Duration::from_secs(8))?;
    let ownership = owners.stop();
    let log = pair.node("lvs1").read("/var/log/all.log")?;
    let lines = log.lines().filter(|line| line.contains("heartbeatd") && line.contains("refused ")).count();
    let status = pair.node("lvs1").run(&[&program("heartbeatd")?, "status", "--json"])?;
    println!("    {sent} datagrams sent to both; {status}");
    assert_eq!(ownership.moves(), 0, "{ownership:?}");
    assert!(ownership.longest_without().is_zero(), "{ownership:?}");
    assert_eq!(lines, 1, "{log}");
    assert!(status.contains("\"no outer signature\""), "{status}");
    Ok(())
}
