//! ldirectord's checks against the real servers.
//!
//! Each test starts one real server from Debian's package, with a configuration and a directory of its own, and one
//! ldirectord, the program itself with a real `ldirectord.cf`, and sees three states: healthy; listening but broken (a wrong answer, a
//! refused login); hung (all its processes stopped, so that connections are taken up and nothing is said). Each is seen
//! in ldirectord's status, with the reason, and in the IPVS table, which the tests keep in place of `lvsctl serve`.
//!
//! Everything runs in the namespaces that `tests/services/run` makes and nowhere else.
//!
//! # How to add a server
//!
//! 1. Its program and package: a line in `tests/services/packages`. `make test-services` installs it.
//! 2. A file beside this one, named after the server, and a `mod` line below.
//! 3. In it a test for each configuration that differs, which
//!    - takes a place: `let Some(place) = Place::new("slapd", &["slapd"]) else { return Ok(()) };` The test is skipped, by
//!      name, where a program is missing. The place is a directory, an address below 127/8 that nobody else has
//!      (standard ports are free there), and a virtual address for ldirectord;
//!    - writes the server's files: `place.write("slapd.conf", &text)?`, and certificates with [`certificate::Authority`];
//!    - starts the server in the foreground: `place.start(&["slapd", "-d", "0", ...])?`, and waits for its port:
//!      `place.await_tcp(389)?` or `place.await_udp(53)?`. It runs in a process space of its own, all of which can be
//!      stopped and goes on ([`server::Server::hang`], [`server::Server::go_on`]) and is killed with the value;
//!    - lists what ldirectord checks: `let right = checks.add(389, "service=ldap\nlogin=...")`, one virtual service each;
//!      [`watch::Checks::start`] starts ldirectord;
//!    - sees them up and down: `watch.up(right)?`, `watch.down(wrong, "Invalid credentials")?`; in the end
//!      `watch.end(&["the password"])`, which also looks for passwords in what ldirectord wrote.
//!
//! Tests run side by side and mostly wait: checks are made each second and given up after two. A whole test should
//! stay below ten seconds.

mod certificate;
mod place;
mod server;
mod watch;

mod agent;
mod alerts;
mod apache;
mod bind;
mod commands;
mod confinement;
mod dovecot;
mod echo;
mod freeradius;
mod kamailio;
mod lines;
mod mariadb;
mod mysql_sha2;
mod news;
mod nginx;
mod postfix;
mod postgresql;
mod slapd;
mod tinyproxy;
mod upkeep;
mod vsftpd;
