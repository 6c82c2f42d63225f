//! A real web server in a machine: nginx, saying always the same.

use crate::error::Result;
use crate::node::Node;
use crate::process::Process;
use std::time::Duration;

/// How long nginx may take to start in an emulated guest.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Starts nginx on `node`; it answers every request on port 80 of every address with status 200 and the line `page`.
/// Returns when it listens.
///
/// # Errors
/// If it does not come up.
pub fn serve(node: &Node, page: &str) -> Result<Process> {
    serve_on(node, page, 80)
}

/// [`serve`] on another port.
///
/// # Errors
/// If it does not come up.
pub fn serve_on(node: &Node, page: &str, port: u16) -> Result<Process> {
    let directory = format!("/run/nginx-{port}");
    let configuration = format!("{directory}/nginx.conf");
    let text = format!(
        "daemon off; pid {directory}/pid; error_log stderr; worker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; default_type text/plain;\n\
         {}  server {{ listen {port}; listen [::]:{port}; location / {{ return 200 \"{page}\\n\"; }} }}\n}}\n",
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {directory}/{kind};\n"))
            .concat(),
    );
    node.write(&configuration, &text)?;
    let server = node.start("nginx", &["nginx", "-e", "stderr", "-c", &configuration])?;
    node.await_listener(port, START_LIMIT)?;
    Ok(server)
}
