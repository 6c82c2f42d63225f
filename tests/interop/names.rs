//! The old names, side by side: what heartbeat's programs answer, and what heartbeatd answers under their names.

use lab::Result;

use crate::pair::{Kind, Pair, Setup};

/// Exit status and both streams, without what only says when and in which process.
fn answer(pair: &Pair, at: usize, program: &str, arguments: &str) -> Result<(i32, String)> {
    let path = pair.old_name(at, program)?;
    let words: Vec<&str> = std::iter::once(path.as_str()).chain(arguments.split_whitespace()).collect();
    let (status, text) = pair.node(at).try_run(&words)?;
    let lines = text.lines().map(|line| {
        let line = line.replace(&path, program);
        let plain = ["ERROR: ", "Going standby"].iter().find_map(|mark| Some(line[line.find(mark)?..].to_owned()));
        plain.unwrap_or(line)
    });
    // What the reason is differs from program to program, and some of the original's have none.
    Ok((status, lines.filter(|line| !line.contains("REASON:")).collect::<Vec<_>>().join("\n")))
}

fn compare(pair: &Pair, program: &str, questions: &[&str]) -> Result<()> {
    for question in questions {
        let [theirs, ours] = [answer(pair, 0, program, question)?, answer(pair, 1, program, question)?];
        assert_eq!(ours, theirs, "{program} {question}: ours is on the left");
    }
    Ok(())
}

const LOST: &[&str] =
    &["frob", "-m hbstatus", "rscstatus", "listnodes", "hbstatus", "hbstatus -m", "hbstatus -v", "hbstatus -v -m"];

const KNOWN: &[&str] = &[
    "hbstatus",
    "hbstatus -m",
    "listnodes",
    "listnodes -m",
    "listnodes -n",
    "listnodes -p",
    "listnodes -v",
    "listnodes -v -m",
    "nodestatus lvs1",
    "nodestatus lvs2 -m",
    "nodestatus nosuch",
    "nodestatus",
    "nodetype lvs1",
    "nodetype -m lvs1",
    "nodetype nosuch",
    "nodetype",
    "nodeweight lvs1",
    "nodeweight lvs1 -m",
    "nodeweight nosuch",
    "nodeweight",
    "nodesite lvs1",
    "nodesite lvs1 -m",
    "nodesite nosuch",
    "listhblinks lvs1",
    "listhblinks -v lvs2",
    "listhblinks lvs2 -m",
    "listhblinks nosuch",
    "listhblinks",
    "hblinkstatus lvs1 eth1",
    "hblinkstatus lvs2 eth1 -m",
    "hblinkstatus lvs2 eth9",
    "hblinkstatus lvs2",
    "clientstatus lvs1 ipfail",
    "clientstatus lvs1",
    "clientstatus nosuch ipfail",
    "rscstatus",
    "rscstatus -m",
    "hbparameter -p deadtime",
    "hbparameter -p keepalive -m",
    "hbparameter -p warntime",
    "hbparameter -p deadping",
    "hbparameter -p udpport",
    "hbparameter -p cluster",
    "hbparameter -p memreserve",
    "hbparameter -p auto_failback",
    "hbparameter -p node",
    "hbparameter -p watchdog",
    "hbparameter -p nosuch",
    "hbparameter",
];

#[test]
fn old_names_answer_as_the_originals_do() -> Result<()> {
    let pair = Pair::new([Kind::Original, Kind::Ours], &Setup::default())?;
    compare(&pair, "cl_status", LOST)?;
    compare(&pair, "heartbeat", &["-s", "-k", "-Z", "-k -Z"])?;
    pair.start(1)?;
    pair.start(0)?;
    pair.await_held(["local", "local"])?;
    compare(&pair, "cl_status", KNOWN)?;
    compare(&pair, "hb_standby", &["bogus", "a b", "--help"])?;
    compare(&pair, "hb_takeover", &["bogus", "a b", "--help"])?;
    // The number and the name of the node differ, the sentence does not.
    for at in [0, 1] {
        let (status, text) = answer(&pair, at, "heartbeat", "-s")?;
        let name = pair.node(at).name();
        assert_eq!((status, text.starts_with("heartbeat OK [pid ")), (0, true), "{text}");
        assert!(text.ends_with(&format!(" et al] is running on {name} [{name}]...")), "{text}");
        let (status, text) = answer(&pair, at, "hb_standby", "foreign")?;
        // Of a command that went well only standard output is looked at.
        assert_eq!((status, text.as_str()), if at == 0 { (0, "") } else { (1, NOTHING_HELD) });
    }
    let (ours, theirs) = (answer(&pair, 1, "heartbeat", "-D")?, answer(&pair, 0, "heartbeat", "-D")?);
    let values = |table: &str| -> Vec<String> {
        table.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(values(&ours.1), values(&theirs.1));
    Ok(())
}

/// The original leaves a message and learns of no refusal (fault 22).
const NOTHING_HELD: &str = "Going standby [foreign].\nhb_standby: this node holds none of them";
