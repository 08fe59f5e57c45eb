//! How long each step took, kept in the cache folder: the table of a run shows it beside its own.

#![expect(
    clippy::disallowed_methods,
    reason = "a person wants to know how long ago a step ran"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use testkit::setup::cache;

/// Most bytes of the file that are read.
const BYTES_MAX: u64 = 1 << 20;

/// What is known of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Step {
    /// Seconds it took when everything was to be built or installed.
    pub(crate) cold: Option<f64>,
    /// Seconds it took last with what was there.
    pub(crate) warm: Option<f64>,
    /// The last run.
    pub(crate) last: Option<Last>,
}

/// The last run of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Last {
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Last {
    /// How long ago, and with what result.
    pub(crate) fn in_words(&self) -> String {
        let ago = Duration::from_secs(now().saturating_sub(self.at));
        let (count, unit) = match ago.as_secs() {
            0..120 => (ago.as_secs(), "seconds"),
            120..7_200 => (ago.as_secs() / 60, "minutes"),
            7_200..172_800 => (ago.as_secs() / 3_600, "hours"),
            _ => (ago.as_secs() / 86_400, "days"),
        };
        format!(
            "last run {count} {unit} ago: {} passed, {} failed",
            self.passed, self.failed
        )
    }
}

/// Every step that ever ran with this cache folder, by name.
#[derive(Debug, Default)]
pub(crate) struct Timings(BTreeMap<String, Step>);

impl Timings {
    /// What earlier runs left; nothing where there is no file or another program's.
    pub(crate) fn read() -> Self {
        let text = File::open(path()).and_then(|file| io::read_to_string(file.take(BYTES_MAX)));
        let value = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        Self::from_json(&value.unwrap_or_default())
    }

    /// Notes a run that just ended.
    pub(crate) fn note(
        &mut self,
        step: &str,
        cold: bool,
        took: Duration,
        passed: u64,
        failed: u64,
    ) {
        let known = self.0.entry(step.to_owned()).or_default();
        let seconds = Some(took.as_secs_f64());
        if cold {
            known.cold = seconds;
        } else {
            known.warm = seconds;
        }
        known.last = Some(Last {
            at: now(),
            passed,
            failed,
        });
    }

    /// What is known of a step.
    pub(crate) fn of(&self, step: &str) -> Step {
        self.0.get(step).copied().unwrap_or_default()
    }

    /// Keeps them for the next run; a cache that cannot be written costs a column, not a run.
    pub(crate) fn write(&self) {
        let _ = fs::create_dir_all(cache());
        let _ = fs::write(path(), format!("{:#}\n", self.to_json()));
    }

    fn from_json(value: &Value) -> Self {
        let steps = value.as_object().into_iter().flatten();
        let step = |value: &Value| Step {
            cold: value["cold"].as_f64(),
            warm: value["warm"].as_f64(),
            last: value["at"].as_u64().map(|at| Last {
                at,
                passed: value["passed"].as_u64().unwrap_or_default(),
                failed: value["failed"].as_u64().unwrap_or_default(),
            }),
        };
        Self(steps.map(|(name, v)| (name.clone(), step(v))).collect())
    }

    fn to_json(&self) -> Value {
        let step = |step: &Step| {
            json!({
                "cold": step.cold,
                "warm": step.warm,
                "at": step.last.map(|last| last.at),
                "passed": step.last.map(|last| last.passed),
                "failed": step.last.map(|last| last.failed),
            })
        };
        let steps = self.0.iter().map(|(name, s)| (name.clone(), step(s)));
        Value::Object(steps.collect::<Map<_, _>>())
    }
}

fn path() -> PathBuf {
    cache().join("timings.json")
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_run_does_not_hide_the_warm_one_before_it() {
        let mut timings = Timings::default();
        timings.note("lints", false, Duration::from_secs(9), 1, 0);
        timings.note("lints", true, Duration::from_secs(90), 1, 0);
        let read = Timings::from_json(&timings.to_json());
        let step = read.of("lints");
        assert_eq!((step.cold, step.warm), (Some(90.0), Some(9.0)));
        assert_eq!(step, timings.of("lints"));
    }

    #[test]
    fn another_programs_file_is_no_history() {
        assert!(Timings::from_json(&json!([1, 2])).0.is_empty());
        assert_eq!(
            Timings::from_json(&json!({"lints": 7})).of("lints"),
            Step::default()
        );
    }
}
