//! RabbitMQ's own PerfTest, from Maven Central, where Java and Maven are there.

use std::process::Command;
use std::time::Duration;

use crate::Result;

const POM: &str = r#"<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version>
<dependencies><dependency><groupId>com.rabbitmq</groupId><artifactId>perf-test</artifactId><version>2.22.1</version></dependency></dependencies></project>"#;

fn installed() -> Result<std::path::PathBuf> {
    let dir = testkit::setup::cache().join("perf-test-2.22.1");
    if !dir.join("stamp").exists() {
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("pom.xml"), POM)?;
        let status = Command::new("mvn")
            .args([
                "-q",
                "dependency:copy-dependencies",
                "-DoutputDirectory=lib",
            ])
            .current_dir(&dir)
            .status()?;
        if !status.success() {
            return Err("mvn could not fetch PerfTest".into());
        }
        std::fs::write(dir.join("stamp"), "")?;
    }
    Ok(dir.join("lib"))
}

/// What PerfTest says at its end; `None` where it cannot run, which is said.
fn run(url: &str, bytes: usize, window: usize, more: &[&str]) -> Result<Option<String>> {
    let lib = match installed() {
        Ok(lib) => lib,
        Err(error) => {
            println!("PerfTest left out: {error}");
            return Ok(None);
        }
    };
    let out = Command::new("java")
        .arg("-cp")
        .arg(lib.join("*"))
        .args([
            "com.rabbitmq.perf.PerfTest",
            "--uri",
            url,
            "-qq",
            "-u",
            "perftest",
        ])
        .args(["-x", "1", "-y", "0", "-f", "persistent", "-z", "10"])
        .args(["-s", &bytes.to_string(), "-c", &window.to_string()])
        .args(more)
        .output()?;
    Ok(Some(String::from_utf8_lossy(&out.stdout).into_owned()))
}

/// Messages per second, published and confirmed.
pub(crate) fn publish(url: &str, bytes: usize, window: usize) -> Result<Option<f64>> {
    let Some(text) = run(url, bytes, window, &[])? else {
        return Ok(None);
    };
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains("sending rate avg"));
    let words = line.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rate = words.and_then(|words| {
        let at = words.iter().position(|word| word.starts_with("msg/s"))?;
        words[at - 1].replace(',', "").parse().ok()
    });
    if rate.is_none() {
        println!("PerfTest said nothing of its rate:\n{text}");
    }
    Ok(rate)
}

/// Median, 95th and 99th percentile from publish to confirm at a constant rate.
pub(crate) fn latency(
    url: &str,
    bytes: usize,
    window: usize,
    rate: f64,
) -> Result<Option<[Duration; 3]>> {
    let rate = format!("{rate:.0}");
    let Some(text) = run(url, bytes, window, &["-r", &rate])? else {
        return Ok(None);
    };
    let found = text.lines().rev().find_map(percentiles);
    if found.is_none() {
        println!("PerfTest said nothing of its latency:\n{text}");
    }
    Ok(found)
}

/// Of `… confirm latency min/median/75th/95th/99th 1/2/3/4/5 µs`.
fn percentiles(line: &str) -> Option<[Duration; 3]> {
    let (_, rest) = line.split_once("confirm latency")?;
    let mut words = rest.split_whitespace();
    let numbers: Vec<u64> = words.find_map(|word| {
        let numbers = word.split('/').map(|n| n.replace(',', "").parse());
        numbers.collect::<std::result::Result<Vec<_>, _>>().ok()
    })?;
    let micros = match words.next() {
        Some("ms") => 1_000,
        _ => 1,
    };
    let [_, median, _, p95, p99] = numbers[..] else {
        return None;
    };
    Some([median, p95, p99].map(|n| Duration::from_micros(n * micros)))
}
