//! Cases that others wrote, run against ours.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use telemetry_core::{Fingerprint, Schema};

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Suite {
    /// Canonical forms and fingerprints of `DIR/share/data/schema-tests.txt`.
    Avro {
        /// A folder with Apache Avro's `share/`.
        dir: PathBuf,
    },
}

pub(crate) fn conform(suite: &Suite) -> Result<(), Failure> {
    match suite {
        Suite::Avro { dir } => avro(&dir.join("share/data/schema-tests.txt")),
    }
}

fn avro(path: &Path) -> Result<(), Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(16 << 20).read_to_string(&mut text))
        .map_err(|error| Failure::Io {
            what: path.display().to_string(),
            error,
        })?;
    let mut forms = Score::default();
    let mut prints = Score::default();
    let (mut input, mut canonical) = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(row) = line.strip_prefix("<<") else {
            continue;
        };
        let (tag, rest) = row.split_once(' ').unwrap_or((row, ""));
        let value = if rest.is_empty() {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != tag).collect();
            body.join("\n")
        } else {
            rest.to_owned()
        };
        match tag {
            "INPUT" => input = value,
            "canonical" => {
                canonical = value;
                let ours = Schema::parse(&input).map(|s| s.canonical().to_owned());
                forms.add(ours.as_ref() == Ok(&canonical), &input);
            }
            "fingerprint" => {
                let ours = Fingerprint::of(&canonical).0 as i64;
                prints.add(value.trim().parse() == Ok(ours), &canonical);
            }
            _ => {}
        }
    }
    println!("| suite | cases | agreed | disagreed |\n|---|---:|---:|---:|");
    for (name, score) in [("canonical form", &forms), ("CRC-64-AVRO", &prints)] {
        let (cases, agreed) = (score.cases, score.cases - score.wrong.len());
        println!("| {name} | {cases} | {agreed} | {} |", score.wrong.len());
    }
    for case in forms.wrong.iter().chain(&prints.wrong).take(5) {
        println!("disagreed: {case}");
    }
    if forms.cases == 0 || forms.wrong.len() + prints.wrong.len() > 0 {
        return Err(Failure::Said("not every case agrees".to_owned()));
    }
    Ok(())
}

#[derive(Default)]
struct Score {
    cases: usize,
    wrong: Vec<String>,
}

impl Score {
    fn add(&mut self, agrees: bool, case: &str) {
        self.cases += 1;
        if !agrees {
            self.wrong.push(case.to_owned());
        }
    }
}
