//! lvsctl: ipvsadm's command line, verbs of its own, and the privileged helper.

fn main() -> std::process::ExitCode {
    lvs::cli::main()
}
