//! What a workout was, in words and small pictures for a terminal.

use std::fmt::Write as _;

use activity::{Curve, Survey};
use telemetry_core::Timestamp;
use terminal::{COLUMNS, counted, escaped, fit, spark, wrap};

use crate::clock::hms;

/// Files that are described; of more there is a sentence.
const DESCRIBED_MAX: usize = 10;

/// Columns of a picture.
const PICTURE: usize = 30;

/// What each workout of a run was, a paragraph each.
pub fn describe(surveys: &[Survey]) -> String {
    let mut out = String::new();
    let told = surveys.iter().filter(|survey| survey.summary.samples > 0);
    let more = told.clone().count().saturating_sub(DESCRIBED_MAX);
    for survey in told.take(DESCRIBED_MAX) {
        out += &one(survey);
        out.push('\n');
    }
    if more > 0 {
        // Writing to a string cannot fail.
        let more = counted(more as u64, "workout", "workouts");
        let _ = writeln!(out, "And {more} more.");
    }
    out
}

fn one(survey: &Survey) -> String {
    let summary = &survey.summary;
    let name = escaped(survey.activity.name()).to_string();
    let mut parts = Vec::new();
    if let Some(started) = summary.started {
        let time = Timestamp::from_micros(started.saturating_mul(1_000_000));
        parts.push(match summary.clock_was_set() {
            true => time.to_string(),
            false => format!("{time} by a clock that was never set"),
        });
    }
    parts.extend(summary.sport.clone());
    parts.push(hms(summary.duration));
    if let Some(metres) = summary.distance {
        parts.push(format!("{:.2} km", metres / 1_000.0));
    }
    parts.push(counted(summary.samples, "sample", "samples"));
    let mut out = format!("{}\n", fit(&name, COLUMNS));
    let _ = writeln!(out, "  {}", wrap(&parts.join(", "), COLUMNS - 2, 4));
    for (what, unit, curve, scale) in [
        ("heart rate", "beats/min", &summary.heart_rate, 1.0),
        ("power", "W", &summary.power, 1.0),
        ("speed", "km/h", &summary.speed, 3.6),
        ("cadence", "per min", &summary.cadence, 1.0),
    ] {
        if let (Some(mean), Some(most)) = (curve.mean(), curve.most()) {
            let (mean, most) = (mean * scale, most * scale);
            let numbers = format!("{mean:.0} mean, {most:.0} most {unit}");
            row(&mut out, what, &numbers, curve, survey);
        }
    }
    if let (Some(least), Some(most)) = (summary.altitude.least(), summary.altitude.most()) {
        let numbers = format!("{least:.0} to {most:.0} m");
        row(&mut out, "altitude", &numbers, &summary.altitude, survey);
    }
    if survey.padding > 0 {
        let _ = writeln!(out, "  {} zeros after the end of the file", survey.padding);
    }
    if !survey.left_out.is_empty() {
        let fields = escaped(survey.left_out.join(", ")).to_string();
        let text = format!("fields that have no place in a sample: {fields}");
        let _ = writeln!(out, "  {}", wrap(&text, COLUMNS - 2, 4));
    }
    out
}

fn row(out: &mut String, what: &str, numbers: &str, curve: &Curve, survey: &Survey) {
    let length = survey.summary.duration;
    // A short workout has no more to show than seconds.
    let columns = usize::try_from(length.as_secs() + 1).map_or(PICTURE, |s| s.min(PICTURE));
    let picture = spark(&curve.columns(columns, length));
    let _ = writeln!(out, "  {what:<10}  {numbers:<32}  {}", picture.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use activity::Activity;
    use terminal::columns;

    #[test]
    fn a_workout_is_said_in_80_columns() {
        let ride = Survey::of(&Activity::built_in()[0]);
        let text = describe(&[ride]);
        assert!(text.lines().all(|line| columns(line) <= COLUMNS), "{text}");
        for words in [
            "garmin-edge-500-activity",
            "2011-09-25T13:00:22",
            "cycling, 3:31:31, 92.62 km, 10686 samples",
            "heart rate",
            "altitude",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.contains(['▁', '█']), "{text}");
    }

    #[test]
    fn of_many_workouts_some_are_said_and_the_others_counted() {
        let walk = Survey::of(&Activity::built_in()[4]);
        let text = describe(&vec![walk; 12]);
        assert!(text.contains("And 2 workouts more."), "{text}");
        assert_eq!(text.matches("garmin-fenix-5-walk").count(), 10);
    }
}
