//! Suites, run one after another, and the table at the end.

#![expect(
    clippy::disallowed_methods,
    reason = "the table says how long each suite took"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::cargo;
use crate::{Failure, check};

/// Tests that take minutes, by name: the main job, killing it, its page in a browser.
const SLOW: &str = "test(/^slow_/)";

/// Tests that talk to real servers, by their binary.
const SERVERS: &str = "binary(=rabbitmq) or binary(=registries) or binary(=python)";

struct Row {
    suite: String,
    passed: u64,
    failed: u64,
    left_out: String,
    took: Duration,
}

pub(crate) fn test(fast: bool, all: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (name, step) in check::steps() {
        println!("\n== check: {name}");
        let start = Instant::now();
        let failed = match step() {
            Ok(()) => 0,
            Err(failure) => {
                eprintln!("error: {failure}");
                1
            }
        };
        rows.push(Row {
            suite: format!("check: {name}"),
            passed: 1 - failed,
            failed,
            left_out: String::new(),
            took: start.elapsed(),
        });
    }

    let nextest = |filter: &str, release: bool| {
        let mut command = cargo(&["nextest", "run", "--locked", "--all-features"]);
        if release {
            // The rest of the workspace is not built twice.
            command.args(["--cargo-profile", "release", "-p", "fleet"]);
        } else {
            command.arg("--workspace");
        }
        command.args(["--color", "never", "--filterset", filter]);
        command
    };
    rows.push(suite(
        "tests",
        &mut nextest(&format!("not ({SLOW} or {SERVERS})"), false),
        "",
    )?);
    rows.push(suite(
        "examples in the documentation",
        &mut cargo(&["test", "--locked", "--workspace", "--all-features", "--doc"]),
        "",
    )?);
    for (name, filter, release) in [
        ("real servers", SERVERS, false),
        ("main job, kills, live page", SLOW, true),
    ] {
        if fast {
            rows.push(Row {
                suite: name.to_owned(),
                passed: 0,
                failed: 0,
                left_out: "--fast leaves out servers and what takes minutes".to_owned(),
                took: Duration::ZERO,
            });
        } else {
            rows.push(suite(name, &mut nextest(filter, release), "")?);
        }
    }
    if all {
        println!("\n--all: no suite is longer than the plain run has time for");
    }
    report(&rows)
}

/// Runs a suite, passing its output on, and counts from its closing lines.
fn suite(name: &str, command: &mut Command, left_out: &str) -> Result<Row, Failure> {
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
        left_out: left_out.to_owned(),
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

fn report(rows: &[Row]) -> Result<(), Failure> {
    println!("\n| suite | passed | failed | left out, and why | seconds |");
    println!("|---|---:|---:|---|---:|");
    let (mut passed, mut failed) = (0, 0);
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {:.0} |",
            row.suite,
            row.passed,
            row.failed,
            row.left_out,
            row.took.as_secs_f64()
        );
        passed += row.passed;
        failed += row.failed;
    }
    println!("\n{passed} passed, {failed} failed");
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
