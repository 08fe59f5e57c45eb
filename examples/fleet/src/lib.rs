//! x
pub mod activity;
