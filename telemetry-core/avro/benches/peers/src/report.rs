//! The tables: every case beside ours, and the goals.

use crate::measure::{Case, Figures};

/// A goal: our case, at most so many times another's time.
struct Goal {
    group: &'static str,
    ours: &'static str,
    /// Group and name of the other.
    than: (&'static str, &'static str),
    at_most: f64,
}

const fn goal(
    group: &'static str,
    ours: &'static str,
    than: (&'static str, &'static str),
    at_most: f64,
) -> Goal {
    Goal {
        group,
        ours,
        than,
        at_most,
    }
}

const GOALS: &[Goal] = &[
    goal(
        "encode",
        "telemetry-core",
        ("encode", "apache-avro direct"),
        1.0 / 8.0,
    ),
    goal(
        "encode",
        "telemetry-core",
        ("encode", "serde_avro_fast"),
        1.0 / 5.0,
    ),
    goal("encode", "telemetry-core", ("encode", "prost"), 0.6),
    goal(
        "decode",
        "telemetry-core borrowed",
        ("decode", "serde_avro_fast borrowed"),
        0.45,
    ),
    goal(
        "resolve",
        "telemetry-core borrowed",
        ("resolve", "apache-avro value"),
        1.0 / 10.0,
    ),
    goal(
        "resolve",
        "telemetry-core borrowed",
        ("resolve", "serde_avro_fast borrowed"),
        0.5,
    ),
    goal(
        "resolve",
        "telemetry-core borrowed",
        ("decode", "telemetry-core borrowed"),
        1.2,
    ),
    goal("encode", "telemetry-core", ("encode", "fory exact"), 1.0),
    goal(
        "resolve",
        "telemetry-core owned",
        ("resolve", "fory compatible, owned"),
        1.0,
    ),
    goal(
        "schema parse",
        "telemetry-core",
        ("schema parse", "serde_avro_fast"),
        1.0,
    ),
    goal(
        "schema parse",
        "telemetry-core",
        ("schema parse", "apache-avro"),
        1.0,
    ),
    goal(
        "resolve to Arrow",
        "telemetry-core",
        ("resolve to Arrow", "arrow-avro"),
        0.4,
    ),
    goal(
        "small: encode",
        "telemetry-core",
        ("small: encode", "serde_avro_fast"),
        0.2,
    ),
    goal(
        "small: decode",
        "telemetry-core",
        ("small: decode", "serde_avro_fast"),
        0.35,
    ),
    goal(
        "small: resolve",
        "telemetry-core",
        ("small: resolve", "serde_avro_fast"),
        0.5,
    ),
    goal(
        "small: resolve to Arrow",
        "telemetry-core",
        ("small: resolve to Arrow", "arrow-avro"),
        0.45,
    ),
];

/// Cases that allocate nothing.
const WITHOUT_ALLOCATION: &[(&str, &str)] = &[
    ("encode", "telemetry-core"),
    ("decode", "telemetry-core view"),
    ("small: encode", "telemetry-core"),
    ("small: decode", "telemetry-core"),
];

pub fn print(measured: &[(Case<'_>, Figures)]) {
    let find = |group: &str, name: &str| {
        measured
            .iter()
            .find(|(case, _)| case.group == group && case.name == name)
            .map(|(_, figures)| *figures)
    };
    // The cases of a group are put together, wherever they were added.
    let first = |group: &str| measured.iter().position(|(case, _)| case.group == group);
    let mut sorted: Vec<_> = measured.iter().collect();
    sorted.sort_by_key(|(case, _)| first(case.group));
    let mut group = "";
    for (case, figures) in sorted {
        if case.group != group {
            group = case.group;
            println!(
                "\n| {group} | ns/record | beside ours | MB/s | bytes | instructions | allocations |"
            );
            println!("|---|---:|---:|---:|---:|---:|---:|");
        }
        let ours = measured
            .iter()
            .find(|(other, _)| other.group == group && other.ours)
            .map_or(f64::NAN, |(_, figures)| figures.nanos);
        let name = if case.ours {
            format!("**{}**", case.name)
        } else {
            case.name.to_owned()
        };
        let instructions = figures
            .instructions
            .map_or_else(|| "-".to_owned(), |n| format!("{n:.0}"));
        println!(
            "| {name} | {:.1} | {:.2}x | {:.0} | {:.1} | {instructions} | {:.2} |",
            figures.nanos,
            figures.nanos / ours,
            figures.bytes / figures.nanos * 1e3,
            figures.bytes,
            figures.allocations,
        );
    }
    println!("\n| goal | at most | measured | |");
    println!("|---|---:|---:|---|");
    for goal in GOALS {
        let (Some(ours), Some(than)) =
            (find(goal.group, goal.ours), find(goal.than.0, goal.than.1))
        else {
            continue;
        };
        let ratio = ours.nanos / than.nanos;
        let verdict = if ratio <= goal.at_most {
            "met"
        } else {
            "**missed**"
        };
        let other = if goal.than.0 == goal.group {
            goal.than.1.to_owned()
        } else {
            format!("{}, {}", goal.than.1, goal.than.0)
        };
        println!(
            "| {}: {} / {other} | {:.3} | {ratio:.3} | {verdict} |",
            goal.group, goal.ours, goal.at_most
        );
    }
    for (group, name) in WITHOUT_ALLOCATION {
        let Some(figures) = find(group, name) else {
            continue;
        };
        let verdict = if figures.allocations == 0.0 {
            "met"
        } else {
            "**missed**"
        };
        println!(
            "| {group}: {name}, allocations | 0 | {:.2} | {verdict} |",
            figures.allocations
        );
    }
}
