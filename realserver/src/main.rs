//! realserver.

fn main() {}
