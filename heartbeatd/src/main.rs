//! heartbeatd.

fn main() {}
