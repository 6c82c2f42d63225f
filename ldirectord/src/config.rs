//! `ldirectord.cf`: from text to a model that cannot be wrong (spec/ldirectord.md
//! chapters 2 to 5).

pub mod model;
pub mod pattern;

pub use model::Config;
pub use pattern::Pattern;
