//! Activity files that went wrong elsewhere, with the right value of each; damaged ones; and files
//! of our own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

mod checks;
mod damaged;
mod found;
mod written;

use std::path::PathBuf;

use activity::{Activity, Sample, Survey};

/// A file under `testdata/`.
fn data(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(name)
}

fn survey(name: &str) -> Survey {
    Survey::of(&Activity::file(data(name)))
}

fn samples(name: &str) -> Vec<Sample> {
    match Activity::file(data(name)).samples() {
        Ok(samples) => samples.collect(),
        Err(_) => Vec::new(),
    }
}

/// Each sentence about a file, without its folder.
fn said(survey: &Survey) -> Vec<String> {
    let folder = format!("{}/", data("").display()).replace("//", "/");
    let faults = survey.faults.iter();
    faults
        .map(|fault| fault.to_string().replace(&folder, ""))
        .collect()
}
