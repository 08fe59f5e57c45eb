//! The executors of a plan: each reads datums by the same steps and gives something else.

mod fields;
mod skip;
mod transcode;
mod value;

pub use fields::{FieldSink, TreeSink};
pub(super) use skip::skip;
