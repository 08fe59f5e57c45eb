//! Suites, run one after another, and the table at the end.

#![expect(
    clippy::disallowed_methods,
    reason = "the table says how long each suite took"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::chaos::{self, Chaos};
use crate::run::cargo;
use crate::timings::Timings;
use crate::{Failure, check, fuzz, setup};

/// Tests that take minutes, by name: the main job, killing it, its page in a browser.
const SLOW: &str = "test(/^slow_/)";

/// Tests that talk to real servers, by their binary, and those that mount a file system.
const SERVERS: &str = "binary(=rabbitmq) or binary(=registries) or binary(=python) or binary(=java) \
     or package(=cutfs) or package(=power)";

/// One line of the table at the end.
struct Row {
    suite: String,
    passed: u64,
    failed: u64,
    left_out: String,
    took: Duration,
}

/// How much of it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// No servers, no minutes.
    Fast,
    /// What a change must not break.
    Plain,
    /// And what takes longer than a change may wait for.
    All,
}

pub(crate) fn test(extent: Extent) -> Result<(), Failure> {
    let cold = !setup::tools_are_there();
    // Servers come over the network while the processor compiles.
    let servers = (extent != Extent::Fast).then(|| {
        std::thread::spawn(|| {
            let start = Instant::now();
            (setup::servers(), start.elapsed())
        })
    });
    let mut rows = vec![step("tools", setup::tools)];
    for (name, check) in check::steps() {
        rows.push(step(&format!("check: {name}"), check));
    }
    rows.push(suite(
        "tests",
        &mut nextest(&format!("not ({SLOW} or {SERVERS})")),
    )?);
    rows.push(suite(
        "examples in the documentation",
        &mut cargo(&["test", "--locked", "--workspace", "--all-features", "--doc"]),
    )?);
    match servers {
        Some(installing) => {
            println!("\n== servers and browser");
            let (result, took) = installing.join().unwrap_or_else(|_| {
                let what = "installing the servers panicked".to_owned();
                (Err(Failure::Said(what)), Duration::ZERO)
            });
            rows.push(row("servers and browser, beside the checks", result, took));
            rows.push(suite("real servers", &mut nextest(SERVERS))?);
            rows.push(suite("main job, kills, live page", &mut nextest(SLOW))?);
        }
        None => {
            let why = "--fast leaves out servers and what takes minutes";
            rows.push(left_out("real servers", why));
            rows.push(left_out("main job, kills, live page", why));
        }
    }
    let mut timings = Timings::read();
    for (name, long) in LONG {
        if extent == Extent::All {
            rows.push(step(name, *long));
        } else {
            let last = timings.of(name).last.map(|last| last.in_words());
            let last = last.unwrap_or_else(|| "never run with this cache folder".to_owned());
            rows.push(left_out(name, &format!("only with --all; {last}")));
        }
    }
    for row in rows.iter().filter(|row| row.left_out.is_empty()) {
        timings.note(&row.suite, cold, row.took, row.passed, row.failed);
    }
    timings.write();
    report(&rows, &timings)
}

type Long = fn() -> Result<(), Failure>;

/// What takes longer than a change may wait for: the commands of the house, with fixed seeds.
const LONG: &[(&str, Long)] = &[
    ("ten minutes of faults", || {
        chaos::chaos(&Chaos {
            minutes: 10,
            seed: 41,
            ..Chaos::default()
        })
    }),
    ("1,000 kills and 200 power cuts", || {
        chaos::chaos(&Chaos {
            kills: 1_000,
            cuts: 200,
            seed: 43,
            ..Chaos::default()
        })
    }),
    ("10,000 power cuts under every file", || {
        chaos::chaos(&Chaos {
            what: Some(chaos::What::Power {
                cuts: 10_000,
                seed: 47,
                peers: false,
            }),
            ..Chaos::default()
        })
    }),
    ("fuzzing, two minutes a target", || {
        fuzz::fuzz(&fuzz::Options::every_target(2))
    }),
];

/// Tests of the workspace, all of one build.
fn nextest(filter: &str) -> Command {
    let mut command = cargo(&["nextest", "run", "--locked", "--workspace"]);
    command.args(["--all-features", "--color", "never", "--filterset", filter]);
    command
}

/// Runs a step that passes or fails as a whole.
fn step(name: &str, run: impl FnOnce() -> Result<(), Failure>) -> Row {
    println!("\n== {name}");
    let start = Instant::now();
    let result = run();
    row(name, result, start.elapsed())
}

fn row(suite: &str, result: Result<(), Failure>, took: Duration) -> Row {
    if let Err(failure) = &result {
        eprintln!("error: {failure}");
    }
    Row {
        suite: suite.to_owned(),
        passed: u64::from(result.is_ok()),
        failed: u64::from(result.is_err()),
        left_out: String::new(),
        took,
    }
}

fn left_out(suite: &str, why: &str) -> Row {
    Row {
        suite: suite.to_owned(),
        passed: 0,
        failed: 0,
        left_out: why.to_owned(),
        took: Duration::ZERO,
    }
}

/// Runs a suite, passing its output on, and counts from its closing lines.
fn suite(name: &str, command: &mut Command) -> Result<Row, Failure> {
    println!("\n== {name}");
    let io = |error| Failure::Io {
        what: name.to_owned(),
        error,
    };
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io)?;
    let errors = child.stderr.take();
    // Both pipes are read at once, so that neither fills up.
    let reader = std::thread::spawn(move || errors.map(count).unwrap_or_default());
    let (mut passed, mut failed) = child.stdout.take().map(count).unwrap_or_default();
    let status = child.wait().map_err(io)?;
    if let Ok((p, f)) = reader.join() {
        passed += p;
        failed += f;
    }
    if !status.success() {
        failed = failed.max(1);
    } else if passed == 0 {
        eprintln!("error: {name} ran no test");
        failed = 1;
    }
    Ok(Row {
        suite: name.to_owned(),
        passed,
        failed,
        left_out: String::new(),
        took: start.elapsed(),
    })
}

/// Echoes lines and adds up `N passed` and `N failed` of closing lines.
fn count(pipe: impl std::io::Read) -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        println!("{line}");
        if line.starts_with("test result:") || line.trim_start().starts_with("Summary [") {
            let mut words = line
                .split([' ', ',', '.', ';', ':'])
                .filter(|w| !w.is_empty());
            let mut last = "";
            for word in words.by_ref() {
                let n = || last.parse::<u64>().unwrap_or(0);
                match word {
                    "passed" => passed += n(),
                    "failed" => failed += n(),
                    _ => {}
                }
                last = word;
            }
        }
    }
    (passed, failed)
}

fn report(rows: &[Row], timings: &Timings) -> Result<(), Failure> {
    let seconds = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s:.0}"));
    println!("\n| suite | passed | failed | seconds | cold | warm | left out, and why |");
    println!("|---|---:|---:|---:|---:|---:|---|");
    let (mut passed, mut failed, mut took) = (0, 0, Duration::ZERO);
    for row in rows {
        let known = timings.of(&row.suite);
        println!(
            "| {} | {} | {} | {:.0} | {} | {} | {} |",
            row.suite,
            row.passed,
            row.failed,
            row.took.as_secs_f64(),
            seconds(known.cold),
            seconds(known.warm),
            row.left_out,
        );
        passed += row.passed;
        failed += row.failed;
        took += row.took;
    }
    println!(
        "\nseconds: this run, the last one that had to install and build everything (cold), the \
         last one that had not (warm); together {:.0} s, servers and browser beside the rest\n",
        took.as_secs_f64()
    );
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        return Err(Failure::Said(format!("{failed} failed: see above")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_closing_lines() {
        let text = "test result: ok. 3 passed; 1 failed; 0 ignored\n\
                    \x20    Summary [   0.5s] 7 tests run: 5 passed, 2 failed, 0 skipped\n\
                    9 passed in prose\n";
        assert_eq!(count(text.as_bytes()), (8, 3));
    }
}
