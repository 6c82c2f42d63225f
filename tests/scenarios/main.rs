//! Whole clusters on a real kernel, one module a story. Run them with `tests/lab/stories`.

mod helper;
mod kernel_addresses;
mod kernel_ipvs;
mod lab;
mod takeover;
