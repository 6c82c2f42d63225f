//! realserver.
