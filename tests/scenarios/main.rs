//! Whole clusters on a real kernel, one module a story. Run them with `tests/lab/stories`.

mod lab;
