//! Whole clusters on a real kernel, one module a story. Run them with `tests/lab/stories`.

mod administration;
mod bad_input;
mod deaths;
mod helper;
mod kernel_addresses;
mod kernel_ipvs;
mod lab;
mod reload;
mod table_files;
mod takeover;
