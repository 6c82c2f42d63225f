//! heartbeatd.
