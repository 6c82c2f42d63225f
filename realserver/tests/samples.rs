//! What the repository ships is accepted as shipped.

use std::path::{Path, PathBuf};

use lvs::settings::Settings;
use realserver::config;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ha.d").join(name)
}

#[test]
fn the_sample_of_realserver_toml_says_what_the_defaults_are() {
    let written = config::load(&sample("realserver.toml")).expect("accepted");
    let default = config::Config::default();
    assert_eq!(written.addresses, ["192.168.60.200".parse().expect("an address")].into());
    assert_eq!((written.interval, written.release_at_exit), (default.interval, default.release_at_exit));
    assert_eq!(written.facility as u32, default.facility as u32);
}

#[test]
fn the_sample_of_lvs_toml_says_what_the_defaults_are() {
    assert_eq!(Settings::read(&sample("lvs.toml")).expect("accepted"), Settings::default());
}
