//! lvsctl.
