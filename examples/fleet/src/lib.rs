//! x
pub mod activity;
pub mod clock;
pub mod coach;
pub mod controller;
pub mod firmware;
pub mod progress;
pub mod screen;
pub mod speech;
