//! The lines that verbs log (spec/ldirectord.md 10.2), to the byte. A process of its own: there is one
//! logger a process.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use ldirectord::cli::Verb;
use ldirectord::config::Fixed;
use ldirectord::instance::{Instance, Places};
use ldirectord::verbs::{self, Context, Half};
use log::{LevelFilter, Log, Metadata, Record};
use tempfile::TempDir;

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ldirectord")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().expect("nobody panics here").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn verbs_say_what_the_original_says() {
    log::set_logger(&LINES).expect("no other logger");
    log::set_max_level(LevelFilter::Info);
    let root = TempDir::new().expect("a directory");
    let file = root.path().join("web.cf");
    let places = Places {
        config_directories: vec![root.path().to_owned()],
        run: root.path().to_owned(),
        log: root.path().join("log"),
        settings: root.path().join("lvs.toml"),
    };
    let program = std::env::args().next().expect("a program");
    let said = |verb: Verb, text: &str| {
        fs::write(&file, text).expect("written");
        let instance = Instance::find(Some("web.cf".as_ref()), &places, Path::new("/")).expect("it was written");
        let arguments = ["web.cf", verb.name()].map(OsString::from);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let surroundings = &Fixed::default();
        let mut context = Context { surroundings, journal: None, arguments: &arguments, out: &mut out, err: &mut err };
        verbs::carry_out(verb, instance, false, Half::Command, &mut context);
        std::mem::take(&mut *LINES.0.lock().expect("nobody panics here"))
    };
    let path = file.display();
    let good = "virtual=198.51.100.1:80\n\tchecktype=on\n";
    assert_eq!(
        said(Verb::Status, good),
        [
            format!("Invoking ldirectord invoked as: {program} web.cf status "),
            "Exiting with exit_status 3: Exiting from ldirectord status".to_owned(),
        ]
    );
    assert_eq!(
        said(Verb::Reload, good),
        [
            format!("Invoking ldirectord invoked as: {program} web.cf reload "),
            format!("ldirectord is stopped for {path}"),
            "Exiting with exit_status 1: Exiting from ldirectord reload".to_owned(),
        ]
    );
    assert_eq!(
        said(Verb::Start, "virtual=nonsense\n"),
        [
            format!("Invoking ldirectord invoked as: {program} web.cf start "),
            "Exiting with exit_status 2: config_error: Configuration Error".to_owned(),
        ]
    );
}
