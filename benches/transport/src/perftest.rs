//! RabbitMQ's own PerfTest, from Maven Central, where Java and Maven are there.

use std::process::Command;

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

/// Messages per second, published and confirmed; `None` where it cannot run, which is said.
pub(crate) fn publish(url: &str, bytes: usize, window: usize) -> Result<Option<f64>> {
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
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
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
