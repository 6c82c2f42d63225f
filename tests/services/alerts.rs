//! Mails about changes, received by Postfix.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use lab::{Attempt, Result, wait_for};

use crate::place::Place;

const SOON: Duration = Duration::from_secs(30);

/// Takes mail for example.com and delivers everything to one maildir; relays nothing.
fn main_cf(place: &Place) -> String {
    let directory = place.directory().display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {directory}/spool\ndata_directory = {directory}/data\n\
         myhostname = relay.example.net\nmydestination =\nmynetworks =\ninet_interfaces = all\ninet_protocols = ipv4\n\
         alias_maps =\nalias_database =\nmaillog_file_prefixes = /run\nmaillog_file = {directory}/mail.log\n\
         smtpd_relay_restrictions = reject_unauth_destination\nvirtual_mailbox_domains = example.com\n\
         virtual_mailbox_base = {directory}/mail\nvirtual_mailbox_maps = static:all/\nvirtual_minimum_uid = 1\n\
         virtual_uid_maps = static:8\nvirtual_gid_maps = static:8\n"
    )
}

fn master_cf(place: &Place) -> String {
    format!(
        "{}:25 inet n - n - - smtpd\nanvil unix - - n - 1 anvil\nrewrite unix - - n - - trivial-rewrite\n\
         proxymap unix - - n - - proxymap\ncleanup unix n - n - 0 cleanup\npickup unix n - n 60 1 pickup\n\
         qmgr unix n - n 300 1 qmgr\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\nerror unix - - n - - error\nretry unix - - n - - error\n\
         virtual unix - n n - - virtual\npostlog unix-dgram n - n - 1 postlogd\n",
        place.address()
    )
}

/// What came so far: recipient and subject.
fn received(place: &Place) -> Vec<(String, String)> {
    let entries = fs::read_dir(place.directory().join("mail/all/new")).into_iter().flatten();
    let texts = entries.filter_map(|entry| fs::read(entry.ok()?.path()).ok());
    let mails = texts.map(|text| {
        // Long headers go on in the next line.
        let text = String::from_utf8_lossy(&text).replace("\n ", " ").replace("\n\t", " ");
        let header =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        (header("X-Original-To:"), header("Subject:"))
    });
    mails.collect()
}

fn await_mail(place: &Place, to: &str, words: &[&str]) -> Result<()> {
    wait_for(&format!("a mail to {to} about {words:?}"), SOON, || {
        let mails = received(place);
        let is_it = |(whom, subject): &(String, String)| whom == to && words.iter().all(|word| subject.contains(word));
        if mails.iter().any(is_it) {
            return Ok(());
        }
        let log = fs::read_to_string(place.directory().join("mail.log")).unwrap_or_default();
        let own = fs::read_to_string(place.directory().join("ldirectord.log")).unwrap_or_default();
        Err(format!("{mails:?}\n{log}\n{own}"))
    })
}

#[test]
fn mail_about_changes_by_postfix() -> Result<()> {
    let Some(place) = Place::new("alerts", &["/usr/lib/postfix/sbin/master"]) else { return Ok(()) };
    let main = place.write("etc/main.cf", &main_cf(&place))?;
    place.write("etc/master.cf", &master_cf(&place))?;
    place.write("spool/pid/.keep", "")?;
    place.directory_of("data", "postfix", 0o700)?;
    place.directory_of("mail", "mail", 0o755)?;
    for queue in ["active", "bounce", "defer", "deferred", "flush", "hold", "incoming", "private", "trace"] {
        place.directory_of(&format!("spool/{queue}"), "postfix", 0o700)?;
    }
    for (queue, mode) in [("maildrop", 0o730), ("public", 0o710)] {
        place.directory_of(&format!("spool/{queue}"), "postfix:postdrop", mode)?;
    }
    let etc = main.with_file_name("");
    let postfix = place.start(&["/usr/lib/postfix/sbin/master", "-d", "-c", &etc.to_string_lossy()])?;
    place.await_tcp(&postfix, 25)?;

    let listen = |port: u16| TcpListener::bind(place.at(port)).attempt(|| format!("listen at {port}"));
    let (mut first, mut second, mut third) = (Some(listen(81)?), Some(listen(82)?), Some(listen(83)?));
    let mut checks = place.checks();
    checks.globally("emailalertfrom=ldirectord@example.com");
    let relay = place.address();
    let mut add =
        |port: u16, lines: &str| checks.add(port, &format!("service=none\nchecktype=connect\nsmtp={relay}\n{lines}"));
    // One of the recipients is refused by the relay, which keeps nothing from the others.
    let all = add(81, "emailalert=\"ops@example.com, nobody@elsewhere.invalid, night@example.com\"\nemailalertfreq=2");
    let running = add(82, "emailalert=\"running@example.com\"\nemailalertstatus=running\nservicename=Shop");
    let none = add(83, "emailalert=\"none@example.com\"\nemailalertstatus=none");
    let watch = checks.start()?;
    for check in [all, running, none] {
        watch.up(check)?;
    }
    for to in ["ops@example.com", "night@example.com"] {
        await_mail(&place, to, &["Added real server", ":81"])?;
    }
    // Down: a mail at once, and then a reminder each two seconds; once back, no more of them.
    drop((first.take(), second.take(), third.take()));
    await_mail(&place, "ops@example.com", &["Deleted real server", ":81"])?;
    await_mail(&place, "running@example.com", &["[Shop] Deleted real server", ":82"])?;
    await_mail(&place, "ops@example.com", &["Inaccessible real server", ":81"])?;
    let reminders = || {
        let about = |(to, subject): &(String, String)| to == "ops@example.com" && subject.contains("Inaccessible");
        received(&place).iter().filter(|mail| about(mail)).count()
    };
    wait_for("a second reminder", SOON, || if reminders() >= 2 { Ok(()) } else { Err(reminders()) })?;
    let _first = listen(81)?;
    let _others = (listen(82)?, listen(83)?);
    for check in [all, running, none] {
        watch.up(check)?;
    }
    await_mail(&place, "running@example.com", &["[Shop] Added real server", ":82"])?;
    let known = reminders();
    sleep(Duration::from_secs(5));
    // One that was on its way may still have come.
    assert!(reminders() <= known + 1, "{known} reminders, then {}", reminders());

    let mails = received(&place);
    let recipients: BTreeSet<&str> = mails.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(recipients, ["night@example.com", "ops@example.com", "running@example.com"].into());
    // Of the starting nothing went to who wants to hear of the running only: down and up again.
    let subjects: Vec<_> = mails.iter().filter(|(to, _)| to == "running@example.com").collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    watch.end(&[])
}
