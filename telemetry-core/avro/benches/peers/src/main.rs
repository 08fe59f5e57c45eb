//! Encoding, decoding and resolving beside the field's other libraries, in one interleaved run.
//!
//! Before anything is timed, every library's bytes and values are compared with every other's.

mod cases;
mod fory;
mod measure;
mod model;
mod report;

use std::process::ExitCode;

use counting::Counting;

use crate::measure::{COUNTED_RECORDS, Cases};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Records of a timed run of rows.
const RECORDS: usize = 2_000;

const HELP: &str = "\
Compares telemetry-core with other libraries.

  --rounds N          times each case is run (default 101)
  --only TEXT         runs the cases whose group or name holds TEXT
  --instructions      counts instructions as well, by valgrind
  --once CASE         runs one case once, for valgrind";

fn number(arguments: &mut impl Iterator<Item = String>) -> Option<usize> {
    arguments.next()?.parse().ok()
}

fn main() -> ExitCode {
    let (mut rounds, mut instructions, mut once) = (101, false, None);
    let mut only = String::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let good = match argument.as_str() {
            "--rounds" => number(&mut arguments).map(|n| rounds = n).is_some(),
            "--once" => number(&mut arguments).map(|n| once = Some(n)).is_some(),
            "--only" => arguments.next().map(|text| only = text).is_some(),
            "--instructions" => {
                instructions = true;
                true
            }
            // What `cargo bench` adds.
            "--bench" => true,
            _ => false,
        };
        if !good {
            eprintln!("{HELP}");
            return ExitCode::FAILURE;
        }
    }
    let records = if once.is_some() {
        COUNTED_RECORDS
    } else {
        RECORDS
    };
    let corpus = cases::Corpus::new(records);
    let mut all = Cases::default();
    cases::add(&corpus, &mut all);
    if once.is_none() {
        let [avro, exact, compatible] = corpus.fory.sizes();
        println!(
            "bytes of a record: Avro {avro}, fory exact {exact}, fory compatible {compatible}\n"
        );
    }
    if let Some(case) = once {
        println!("{}", all.once(case));
        return ExitCode::SUCCESS;
    }
    all.keep(&only);
    report::print(&all.measure(rounds, instructions));
    ExitCode::SUCCESS
}
