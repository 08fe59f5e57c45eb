//! Cases in turn, on one thread, by the thread's own processor time.

use std::process::Command;

use rustix::time::{ClockId, clock_gettime};

/// Something to measure.
pub struct Case<'a> {
    /// Its place among all cases.
    number: usize,
    pub group: &'static str,
    pub name: &'static str,
    /// Whether it is this crate.
    pub ours: bool,
    /// Records that one run handles, and their bytes.
    records: usize,
    bytes: usize,
    run: Box<dyn FnMut() + 'a>,
    nanos: Vec<f64>,
}

/// What was measured of a case, by record.
#[derive(Clone, Copy)]
pub struct Figures {
    pub nanos: f64,
    pub bytes: f64,
    pub allocations: f64,
    pub instructions: Option<f64>,
}

#[derive(Default)]
pub struct Cases<'a>(Vec<Case<'a>>);

fn processor_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The name that instruction counting looks for.
#[inline(never)]
pub fn measured(run: &mut dyn FnMut()) {
    run();
}

impl<'a> Cases<'a> {
    pub fn add(
        &mut self,
        group: &'static str,
        name: &'static str,
        (records, bytes): (usize, usize),
        run: impl FnMut() + 'a,
    ) {
        self.0.push(Case {
            number: self.0.len(),
            group,
            name,
            ours: name.starts_with("telemetry-core"),
            records,
            bytes,
            run: Box::new(run),
            nanos: Vec::new(),
        });
    }

    /// Runs one case once, for a run under valgrind; gives its number of records.
    pub fn once(&mut self, number: usize) -> usize {
        let case = &mut self.0[number];
        (case.run)();
        measured(&mut *case.run);
        case.records
    }

    /// Leaves out the cases whose group and name do not hold `text`.
    pub fn keep(&mut self, text: &str) {
        self.0
            .retain(|case| case.group.contains(text) || case.name.contains(text));
    }

    /// Measures every case in each of so many rounds.
    pub fn measure(mut self, rounds: usize, instructions: bool) -> Vec<(Case<'a>, Figures)> {
        for case in &mut self.0 {
            (case.run)();
            (case.run)();
        }
        let allocations: Vec<u64> = self
            .0
            .iter_mut()
            .map(|case| counting::measure(|| (case.run)()).1.allocations)
            .collect();
        for round in 0..rounds {
            if round % 10 == 0 {
                eprint!("\rround {round} of {rounds}");
            }
            for case in &mut self.0 {
                // Once before, so that nobody pays for data that the last case pushed out.
                (case.run)();
                let start = processor_nanos();
                measured(&mut *case.run);
                case.nanos.push((processor_nanos() - start) as f64);
            }
        }
        eprintln!("\rround {rounds} of {rounds}");
        self.0
            .into_iter()
            .zip(allocations)
            .map(|(mut case, allocations)| {
                case.nanos.sort_by(f64::total_cmp);
                let n = case.records as f64;
                let figures = Figures {
                    // The tenth percentile: the machine's other work only ever adds.
                    nanos: case.nanos[case.nanos.len() / 10] / n,
                    bytes: case.bytes as f64 / n,
                    allocations: allocations as f64 / n,
                    instructions: instructions.then(|| count(case.number)).flatten(),
                };
                (case, figures)
            })
            .collect()
    }
}

/// Records of a run that counts instructions: valgrind is some fifty times slower.
pub const COUNTED_RECORDS: usize = 200;

/// Runs this program for one case under valgrind.
fn count(case: usize) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    eprint!("\rcounting instructions of case {case}");
    let out = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--collect-atstart=no",
            "--toggle-collect=*measured*",
        ])
        .arg(program)
        .args(["--once", &case.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let line = text.lines().find_map(|l| l.split_once("Collected :"))?;
    let total: f64 = line.1.trim().parse().ok()?;
    let records = String::from_utf8_lossy(&out.stdout);
    let records: f64 = records.trim().parse().ok()?;
    Some(total / records)
}
