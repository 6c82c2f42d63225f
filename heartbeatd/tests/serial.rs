//! Serial lines: the test is at the other end of a pair of pseudo-terminals.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heartbeatd::config::{Line, Medium};
use heartbeatd::media::{Interfaces, Media, Notice, Packet};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, InputModes, LocalModes, OutputModes, tcgetattr};

const TEXT: &str = ">>>\nt=status\nauth=1 0\n<<<\n";

/// The far end of a cable, and the device at the near one.
struct Cable {
    far: File,
    device: PathBuf,
}

impl Cable {
    fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let far = openpt(flags).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let device = ptsname(&far, Vec::new()).unwrap().into_string().unwrap().into();
        rustix::fs::fcntl_setfl(&far, OFlags::NONBLOCK).unwrap();
        Self { far: far.into(), device }
    }

    /// What comes over it until that is enough, while the media are looked after.
    async fn read_until(&mut self, media: &mut Media, enough: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while !enough(&text) {
            assert_eq!(media.take(64, |_, _| {}), []);
            tokio::time::sleep(Duration::from_millis(2)).await;
            text += &self.read();
        }
        text
    }

    /// What has come over it by now.
    fn read(&mut self) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.far.read(&mut buffer) {
                Ok(count) => text.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return String::from_utf8(text).unwrap(),
                Err(e) => panic!("{e}"),
            }
        }
    }
}

/// A name for the device, which stays when the device is another one.
fn named(folder: &Path, cable: &Cable) -> String {
    let name = folder.join("ttyS0");
    let _ = std::fs::remove_file(&name);
    symlink(&cable.device, &name).unwrap();
    name.to_str().unwrap().to_owned()
}

fn medium(device: &str) -> Medium {
    Medium::Serial(Line { device: device.to_owned(), baud: 115_200 })
}

fn packet(text: &str) -> Packet {
    Packet { datagram: b"for the network".to_vec(), text: Some(text.into()) }
}

fn shown(notices: &[Notice]) -> Vec<String> {
    notices.iter().map(ToString::to_string).collect()
}

/// Looks after the media as a daemon does, its clock `ahead` of ours, until something is told.
async fn told(media: &mut Media, ahead: Duration) -> Vec<String> {
    loop {
        let notices = media.refresh(&Interfaces::default(), Instant::now() + ahead);
        if !notices.is_empty() {
            return shown(&notices);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn opened(media: &mut Media) {
    let told = told(media, Duration::ZERO).await;
    assert!(told.iter().all(|line| line.ends_with(": open")), "{told:?}");
}

/// All messages until there are `count` of them.
async fn hear(media: &mut Media, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        media.ready().await;
        assert_eq!(media.take(64, |_, bytes| heard.push(String::from_utf8_lossy(bytes).into_owned())), []);
    }
    heard
}

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), body).await.expect("done within 30 s") });
}

#[test]
fn a_line_is_raw_and_as_fast_as_the_file_says() {
    run(async {
        let cable = Cable::new();
        let device = cable.device.to_str().unwrap();
        let mut media = Media::new(&[medium(device)]);
        assert!(media.has_lines());
        opened(&mut media).await;
        let near = rustix::fs::open(device, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let settings = tcgetattr(&near).unwrap();
        assert_eq!((settings.input_speed(), settings.output_speed()), (115_200, 115_200));
        let wanted = ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL | ControlModes::CRTSCTS;
        let modes = wanted | ControlModes::PARENB | ControlModes::CSTOPB;
        assert_eq!(settings.control_modes & modes, wanted);
        let input = InputModes::IGNBRK | InputModes::IXON | InputModes::IXOFF | InputModes::ICRNL | InputModes::ISTRIP;
        assert_eq!(settings.input_modes & input, InputModes::IGNBRK);
        assert!(!settings.output_modes.contains(OutputModes::OPOST));
        assert!(!settings.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        // It has not become the terminal that can stop the daemon.
        let controlling = std::fs::read_to_string("/proc/self/stat").unwrap();
        let terminal = controlling.rsplit(") ").next().unwrap().split(' ').nth(4).unwrap().to_owned();
        let own = rustix::fs::fstat(&near).unwrap().st_rdev.to_string();
        assert_ne!(terminal, own);
    });
}

#[test]
fn messages_go_both_ways_and_noise_costs_no_more_than_the_message_it_is_in() {
    run(async {
        let mut cable = Cable::new();
        let mut media = Media::new(&[medium(cable.device.to_str().unwrap())]);
        opened(&mut media).await;
        assert_eq!(media.send(&packet(TEXT)), []);
        assert_eq!(media.send(&packet(TEXT)), []);
        let wanted = format!("\n{TEXT}{TEXT}");
        assert_eq!(cable.read_until(&mut media, |text| text.len() >= wanted.len()).await, wanted);
        assert_eq!(media.links()[0].sent(), 2);

        // The rest of what was said before, a message in parts, and one that a disturbance has hit.
        cable.far.write_all(b"auth=1 0\n<<<\n>>>\nt=sta").unwrap();
        let half = async {
            loop {
                media.ready().await;
                media.take(64, |_, bytes| panic!("{bytes:?} is not whole"));
            }
        };
        tokio::time::timeout(Duration::from_millis(50), half).await.expect_err("there is no end to it");
        cable.far.write_all(format!("tus\nauth=1 0\n<<<\n>>>\nt=\u{1}\u{fe}{TEXT}{TEXT}").as_bytes()).unwrap();
        let heard = hear(&mut media, 3).await;
        assert_eq!((heard[0].as_str(), heard[2].as_str()), (TEXT, TEXT));
        assert!(heard[1].starts_with(">>>\nt=\u{1}"), "{heard:?}");
        assert_eq!(media.links()[0].received(), 3);
    });
}

#[test]
fn a_peer_that_does_not_read_costs_the_oldest_heartbeats_and_nobody_waits() {
    run(async {
        let mut cable = Cable::new();
        let mut media = Media::new(&[medium(cable.device.to_str().unwrap())]);
        opened(&mut media).await;
        let numbered = |number: usize| packet(&format!(">>>\nseq={number:05}\nnote={}\n<<<\n", "x".repeat(480)));
        let begin = Instant::now();
        let notices: Vec<_> = (0..1000).flat_map(|number| media.send(&numbered(number))).collect();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        let device = cable.device.display().to_string();
        let full = "it takes no more: no cable, too slow, or nobody listens at the other end";
        assert_eq!(shown(&notices), [format!("serial {device}: cannot send: {full}")]);
        assert_eq!(media.links()[0].trouble(), Some(format!("cannot send: {full}")));
        let dropped = media.links()[0].send_errors();
        assert_eq!(dropped + media.links()[0].sent() + 16, 1000);

        // The peer reads again: what has left, then the newest, each of them whole.
        let text = cable.read_until(&mut media, |text| text.contains("seq=00999") && text.ends_with("<<<\n")).await;
        let numbers: Vec<usize> = text.split("seq=").skip(1).map(|rest| rest[..5].parse().unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.ends_with(&(985..1000).collect::<Vec<_>>()), "{numbers:?}");
        assert_eq!(text.matches("<<<\n").count(), numbers.len());
        assert_eq!(media.links()[0].send_errors(), dropped);

        // It is well again when nothing was dropped for a minute.
        media.refresh(&Interfaces::default(), Instant::now());
        assert_eq!(media.refresh(&Interfaces::default(), Instant::now() + Duration::from_secs(59)), []);
        let told = shown(&media.refresh(&Interfaces::default(), Instant::now() + Duration::from_secs(61)));
        assert_eq!(told, [format!("serial {device}: sending works again; {dropped} heartbeats did not leave")]);
        assert_eq!(media.links()[0].trouble(), None);
    });
}

#[test]
fn what_a_line_has_not_taken_for_seconds_is_given_up_with_what_the_kernel_has() {
    run(async {
        let mut cable = Cable::new();
        let mut media = Media::new(&[medium(cable.device.to_str().unwrap())]);
        opened(&mut media).await;
        let mut sent = 0;
        while media.links()[0].trouble().is_none() {
            media.send(&packet(TEXT));
            sent += 1;
        }
        let now = Instant::now();
        media.refresh(&Interfaces::default(), now);
        media.refresh(&Interfaces::default(), now + Duration::from_secs(1));
        assert_eq!(media.links()[0].send_errors(), 1);
        media.refresh(&Interfaces::default(), now + Duration::from_secs(5));
        assert_eq!(media.links()[0].send_errors(), 17, "of {sent}");
        let newest = TEXT.replace("status", "newest");
        media.send(&packet(&newest));
        // At most what was under way in the terminal itself is older.
        let text = cable.read_until(&mut media, |text| text.ends_with(&newest)).await;
        assert!(text.ends_with(&format!("\n{newest}")) && text.len() < 5000, "{} bytes", text.len());
    });
}

#[test]
fn at_the_end_the_last_messages_leave_and_a_line_that_takes_nothing_keeps_nobody() {
    run(async {
        let mut cable = Cable::new();
        let mut media = Media::new(&[medium(cable.device.to_str().unwrap())]);
        opened(&mut media).await;
        while media.links()[0].trouble().is_none() {
            media.send(&packet(TEXT));
        }
        let newest = TEXT.replace("status", "newest");
        media.send(&packet(&newest));
        let begin = Instant::now();
        media.drain(Duration::from_millis(100)).await;
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            while !text.ends_with(&newest) {
                std::thread::sleep(Duration::from_millis(1));
                text += &cable.read();
            }
        });
        media.drain(Duration::from_secs(20)).await;
        reader.join().unwrap();
    });
}

#[test]
fn a_device_that_is_pulled_out_is_a_link_that_is_down_and_works_again_when_it_is_back() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("ttyS0").to_str().unwrap().to_owned();
        let mut media = Media::new(&[medium(&device)]);
        let away = format!("cannot open {device}: No such file or directory (os error 2)");
        assert_eq!(told(&mut media, Duration::ZERO).await, [format!("serial {device}: {away}")]);
        assert_eq!(media.links()[0].trouble(), Some(away.clone()));
        assert_eq!(media.send(&packet(TEXT)), []);
        // Said once, and while it is tried again it is still away.
        for seconds in [2, 5] {
            let later = Instant::now() + Duration::from_secs(seconds);
            assert_eq!(media.refresh(&Interfaces::default(), later), []);
            assert_eq!(media.links()[0].trouble(), Some(away.clone()));
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(media.refresh(&Interfaces::default(), later), []);
        }
        let mut cable = Cable::new();
        named(folder.path(), &cable);
        let ahead = Duration::from_secs(20);
        assert_eq!(told(&mut media, ahead).await, [format!("serial {device}: open")]);
        cable.far.write_all(TEXT.as_bytes()).unwrap();
        assert_eq!(hear(&mut media, 1).await, [TEXT]);

        // Pulled out: whoever waits is woken and told.
        drop(cable);
        media.ready().await;
        let told_now = shown(&media.take(64, |_, _| panic!("nobody speaks")));
        assert!(told_now.len() == 1 && told_now[0].starts_with(&format!("serial {device}: {device} has been hung up")));
        let mut cable = Cable::new();
        named(folder.path(), &cable);
        // It was heard, so that it is tried again at once.
        assert_eq!(told(&mut media, ahead).await, [format!("serial {device}: open")]);
        // And a send finds out as well.
        assert_eq!(media.send(&packet(TEXT)), []);
        cable.read_until(&mut media, |text| text.ends_with(TEXT)).await;
        drop(cable);
        let told_now = shown(&media.send(&packet(TEXT)));
        assert!(told_now.len() == 1 && told_now[0].contains("has been hung up"), "{told_now:?}");
    });
}

#[test]
fn what_is_no_line_or_is_in_use_is_waited_for_and_told() {
    run(async {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let mut media = Media::new(&[medium(path)]);
        let line = format!("serial {path}: cannot set up {path}: ");
        let found = told(&mut media, Duration::ZERO).await;
        assert!(found[0].starts_with(&line), "{found:?}");

        let cable = Cable::new();
        let device = cable.device.to_str().unwrap();
        let mut first = Media::new(&[medium(device)]);
        opened(&mut first).await;
        let mut second = Media::new(&[medium(device)]);
        let found = told(&mut second, Duration::ZERO).await;
        assert_eq!(found, [format!("serial {device}: another program uses {device}")]);
        drop(first);
        assert_eq!(told(&mut second, Duration::from_secs(20)).await, [format!("serial {device}: open")]);
    });
}

#[test]
fn what_came_over_a_line_is_passed_on_over_the_others() {
    run(async {
        let mut cables = [Cable::new(), Cable::new()];
        let devices = cables.each_ref().map(|cable| medium(cable.device.to_str().unwrap()));
        let mut media = Media::new(&devices);
        let mut open = 0;
        while open < 2 {
            open += told(&mut media, Duration::ZERO).await.len();
        }
        assert_eq!(media.pass_on(0, &packet(TEXT)), []);
        let [first, second] = &mut cables;
        let wanted = format!("\n{TEXT}");
        assert_eq!(second.read_until(&mut media, |text| text.len() >= wanted.len()).await, wanted);
        assert_eq!(first.read(), "");
    });
}
