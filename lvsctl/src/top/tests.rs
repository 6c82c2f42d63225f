use super::*;
use crate::ipvs::{Destination, DestinationListing, Forward, Service, ServiceKey, Stats};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn stats(connections: u64) -> Stats {
    Stats { connections, packets_in: connections * 10, bytes_in: connections * 1000, ..Stats::default() }
}

fn server(last: u8, weight: u32, connections: u64) -> DestinationListing {
    DestinationListing {
        at: ([10, 1, 0, last], 80).into(),
        destination: Destination::new(Forward::Masq, weight),
        active_connections: u32::from(last),
        inactive_connections: 0,
        persistent_connections: 0,
        stats: stats(connections),
    }
}

fn service(last: u8, servers: Vec<DestinationListing>) -> ServiceListing {
    ServiceListing {
        key: ServiceKey::tcp(([10, 0, 0, last], 80).into()),
        service: Service::default(),
        stats: stats(servers.iter().map(|server| server.stats.connections).sum()),
        destinations: servers,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn connection_rates(top: &Top) -> Vec<Option<f64>> {
    top.rows().iter().map(|row| row.rates.map(|rates| rates.connections)).collect()
}

#[test]
fn rates_are_differences_over_the_time_between_looks() {
    let mut top = Top::default();
    top.update(seconds(10), vec![service(1, vec![server(1, 1, 100)])]);
    assert_eq!(connection_rates(&top), [None, None], "one look says nothing");
    top.update(seconds(12), vec![service(1, vec![server(1, 1, 110)])]);
    assert_eq!(connection_rates(&top), [Some(5.0), Some(5.0)]);
    // The kernel sums every two seconds: a look that sees no new sum does not show a standstill.
    top.update(seconds(13), vec![service(1, vec![server(1, 1, 110)])]);
    top.update(seconds(14), vec![service(1, vec![server(1, 1, 120)])]);
    assert_eq!(connection_rates(&top), [Some(5.0), Some(5.0)]);
    for at in 15..19 {
        top.update(seconds(at), vec![service(1, vec![server(1, 1, 120)])]);
    }
    assert_eq!(connection_rates(&top), [Some(0.0), Some(0.0)], "and no load is forgotten after a while");
}

#[test]
fn counters_that_were_set_to_zero_and_servers_that_come_are_no_load() {
    let mut top = Top::default();
    top.update(seconds(0), vec![service(1, vec![server(1, 1, 1_000_000)])]);
    top.update(seconds(2), vec![service(1, vec![server(1, 1, 4), server(2, 1, 9_000)])]);
    let rates = connection_rates(&top);
    assert_eq!(rates[1..], [Some(2.0), None]);
    top.update(seconds(2), vec![service(1, vec![server(1, 1, 4), server(2, 1, 9_000)])]);
    assert_eq!(connection_rates(&top)[1], Some(2.0), "two looks at one moment divide by nothing");
}

fn names(top: &Top) -> Vec<String> {
    top.rows().iter().map(|row| row.name().trim().to_owned()).collect()
}

#[test]
fn rows_are_sorted_within_their_service_and_services_among_themselves() {
    let mut top = Top::default();
    let listing = |first, second| {
        vec![service(2, vec![server(2, 1, first), server(1, 5, 0)]), service(1, vec![server(3, 0, second)])]
    };
    top.update(seconds(0), listing(0, 0));
    top.update(seconds(2), listing(10, 20));
    let [one, two] = ["tcp 10.0.0.1:80", "tcp 10.0.0.2:80"];
    let [a, b, c] = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"];
    assert_eq!(names(&top), [one, c, two, a, b]);
    top.press(Key::Char('r'));
    assert_eq!(names(&top), [two, b, a, one, c]);
    top.press(Key::Char('c'));
    assert_eq!(names(&top), [one, c, two, b, a], "the busiest first");
    top.press(Key::Char('w'));
    assert_eq!(names(&top), [one, c, two, a, b], "the heaviest server first");
}

fn type_text(top: &mut Top, text: &str) {
    text.chars().for_each(|letter| assert_eq!(top.press(Key::Char(letter)), Reaction::Redraw));
}

#[test]
fn a_filter_keeps_services_and_servers_that_contain_it() {
    let mut top = Top::default();
    top.update(seconds(0), vec![service(1, vec![server(1, 1, 0), server(2, 1, 0)]), service(2, vec![server(3, 1, 0)])]);
    type_text(&mut top, "/1.0.2q");
    top.press(Key::Backspace);
    top.press(Key::Enter);
    assert_eq!(names(&top), ["tcp 10.0.0.1:80", "10.1.0.2:80"]);
    top.press(Key::Escape);
    type_text(&mut top, "/0.0.2:");
    assert_eq!(names(&top), ["tcp 10.0.0.2:80", "10.1.0.3:80"]);
    top.press(Key::Escape);
    assert_eq!(names(&top).len(), 5);
    assert_eq!(top.press(Key::Char('q')), Reaction::Quit);
    assert_eq!((top.press(Key::Char(' ')), top.paused()), (Reaction::Redraw, true));
    assert_eq!((top.press(Key::Char(' ')), top.paused()), (Reaction::Refresh, false));
}

fn screen(top: &mut Top, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| draw(top, frame, true)).expect("memory");
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn busy() -> Top {
    let mut top = Top::default();
    top.update(seconds(0), vec![service(1, vec![server(1, 3, 0), server(2, 0, 0)])]);
    top.update(seconds(2), vec![service(1, vec![server(1, 3, 2468), server(2, 0, 0)])]);
    top
}

#[test]
fn the_picture_has_a_heading_the_rows_and_a_line_of_help() {
    let expected = [
        "1 services, 2 servers: 1.2k conn/s, 1.2M B/s in, 0 B/s out",
        "service, server             how  weight  active inactive  conn/s  B/s in B/s out",
        "tcp 10.0.0.1:80             wlc               3        0    1.2k    1.2M       0",
        "  10.1.0.1:80              masq       3       1        0    1.2k    1.2M       0",
        "  10.1.0.2:80              masq       0       2        0       0       0       0",
        "",
        "q quit  h help  / filter  space pause  sorted by name",
    ];
    assert_eq!(screen(&mut busy(), 80, 7), expected);
}

#[test]
fn every_size_of_terminal_has_its_picture() {
    let mut top = busy();
    for (width, height) in [(1, 1), (5, 3), (30, 4), (200, 60)] {
        for key in [Key::Char('h'), Key::End, Key::Move(-3), Key::Char('h'), Key::Home] {
            top.press(key);
            assert_eq!(screen(&mut top, width, height).len(), usize::from(height));
        }
    }
    top.press(Key::End);
    assert!(screen(&mut top, 80, 4)[2].contains("10.1.0.2"), "the last row");
    top.press(Key::Char('h'));
    assert!(screen(&mut top, 80, 24).iter().any(|line| line.contains("sort by conn/s")));
}

#[test]
fn trouble_is_shown_until_it_is_over() {
    let mut top = busy();
    top.fail("the kernel went away".into());
    assert_eq!(screen(&mut top, 60, 7)[6], "cannot look: the kernel went away");
    top.update(seconds(4), Vec::new());
    let shown = screen(&mut top, 60, 7);
    assert_eq!((shown[2].as_str(), shown[6].starts_with("q quit")), ("no virtual services", true));
}

#[test]
fn paper_has_every_column() {
    let text = to_text(&busy());
    assert!(text.starts_with("service, server      how  weight  active inactive  conn/s"), "{text}");
    assert_eq!(text.lines().count(), 4);
    assert!(text.lines().all(|line| line == line.trim_end()));
}
