//! Programs that run beside the daemon: `respawn`, `failfast` and `apiauth` (spec/heartbeat.md 1.3).

use std::path::PathBuf;

use super::Surroundings;
use super::medium::Mistake;
use super::source::Word;
use super::value::Wrong;

/// A program that is started when communication is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// As ha.cf names the user.
    pub user: String,
    /// Whom it runs as.
    pub uid: u32,
    /// That user's primary group.
    pub gid: u32,
    /// The executable file, an absolute path.
    pub program: PathBuf,
    /// What stands behind it.
    pub args: Vec<String>,
    /// If it ends, the machine is rebooted.
    pub failfast: bool,
}

impl Helper {
    /// Whether it is one of heartbeat's own programs that do nothing without its client socket. A program of the same
    /// name from elsewhere is not.
    pub(super) fn is_client(&self) -> bool {
        let name = self.program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = self.program.parent().and_then(|folder| folder.file_name());
        folder.is_some_and(|folder| folder == "heartbeat")
            && matches!(
                name,
                "api_test"
                    | "attrd"
                    | "ccm"
                    | "ccm_testclient"
                    | "cib"
                    | "clmtest"
                    | "crmd"
                    | "dopd"
                    | "hbagent"
                    | "mgmtd"
                    | "pingd"
            )
    }
}

fn mistake<T>(word: &Word, message: impl Into<String>, help: &str) -> Result<T, Mistake> {
    Err((word.clone(), Wrong { message: message.into(), help: Some(help.to_owned()) }))
}

/// One line: `words` behind the directive, of which there is at least one.
pub(super) fn read(failfast: bool, words: &[Word], around: &Surroundings) -> Result<Helper, Mistake> {
    let [user, command, args @ ..] = words else {
        return mistake(
            &words[0],
            "the program is missing",
            "user and program, as in \"respawn root /usr/local/bin/x\"",
        );
    };
    let Some((uid, gid)) = (around.user)(&user.text) else {
        return mistake(user, format!("there is no user {:?}", user.text), "the user that the program is to run as");
    };
    if !command.text.starts_with('/') {
        let help = "write its whole path, beginning with a slash";
        return mistake(command, format!("{:?} is not a full path", command.text), help);
    }
    let Some(program) = (around.program)(&command.text) else {
        let help = "a file that is there and may be executed";
        return mistake(command, format!("{:?} is not executable", command.text), help);
    };
    let args = args.iter().map(|word| word.text.clone()).collect();
    Ok(Helper { user: user.text.clone(), uid, gid, program, args, failfast })
}

/// `apiauth CLIENT [uid=LIST] [gid=LIST]`: the client's name, if the line is as it should be.
pub(super) fn client<'a>(words: &'a [Word], around: &Surroundings) -> Result<&'a str, Mistake> {
    let help = "as in \"apiauth ipfail uid=hacluster\"";
    let [client, lists @ ..] = words else { return Ok("") };
    if lists.is_empty() {
        return mistake(client, "who may use the name is missing", help);
    }
    for list in lists {
        let known: fn(&Surroundings, &str) -> bool = match list.text.split_once('=') {
            Some(("uid", _)) => |around, name| name.parse::<u32>().is_ok() || (around.user)(name).is_some(),
            Some(("gid", _)) => |around, name| name.parse::<u32>().is_ok() || (around.group)(name),
            _ => return mistake(list, format!("{:?} is neither uid=LIST nor gid=LIST", list.text), help),
        };
        let names = list.text.split_once('=').map_or("", |(_, names)| names);
        if let Some(unknown) = names.split(',').find(|name| !known(around, name)) {
            return mistake(list, format!("{unknown:?} is not known to this machine"), "names or numbers, with commas");
        }
    }
    Ok(&client.text)
}
