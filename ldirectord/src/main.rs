//! ldirectord.

fn main() {}
