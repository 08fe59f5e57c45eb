//! Cases that others wrote, run against ours.

mod avro;

use std::path::PathBuf;

use clap::Subcommand;

use crate::Failure;

/// What to type.
pub(crate) const EXAMPLES: &str = "\
Example:
  cargo xtask conform avro testdata/avro

testdata/avro/README.md says where the cases come from, and what each field of them means.";

#[derive(Subcommand)]
pub(crate) enum Suite {
    /// Canonical forms, fingerprints, compatibility and resolution, as Java Avro has them.
    Avro {
        /// A folder of cases, as testdata/avro is: it has `share/`, `compat.jsonl.gz`, `decode.jsonl.gz`
        /// and `pairs.jsonl.gz`.
        dir: PathBuf,
    },
}

pub(crate) fn conform(suite: &Suite) -> Result<(), Failure> {
    let scores = match suite {
        Suite::Avro { dir } => avro::run(dir)?,
    };
    println!("| suite | cases | agreed | disagreed | known defect of the reference |");
    println!("|---|---:|---:|---:|---:|");
    for score in &scores {
        let wrong = score.wrong.len();
        let agreed = score.cases - wrong - score.defects;
        let Score {
            name,
            cases,
            defects,
            ..
        } = score;
        println!("| {name} | {cases} | {agreed} | {wrong} | {defects} |");
    }
    for score in &scores {
        for case in score.wrong.iter().take(5) {
            println!("\n{}: {case}", score.name);
        }
    }
    if scores.iter().any(|s| s.cases == 0 || !s.wrong.is_empty()) {
        return Err(Failure::Said("not every case agrees".to_owned()));
    }
    Ok(())
}

/// How a suite went.
struct Score {
    name: &'static str,
    cases: usize,
    /// Cases where the reference is known to be wrong, and ours is not.
    defects: usize,
    wrong: Vec<String>,
}

impl Score {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            cases: 0,
            defects: 0,
            wrong: Vec::new(),
        }
    }

    fn add(&mut self, agrees: bool, case: impl FnOnce() -> String) {
        self.cases += 1;
        if !agrees {
            self.wrong.push(case());
        }
    }
}
