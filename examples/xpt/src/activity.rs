//! `xpt activity`: what files of watches and bike computers hold.

use std::path::PathBuf;

use activity::{Activity, Fault, Survey};
use clap::Args;
use serde_json::json;

use crate::answer::{Answer, Failure, Table};

/// Which files.
#[derive(Args)]
pub(crate) struct Files {
    /// The activity files, .fit or .fit.gz; - is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        let mut table = Table::new([
            "activity",
            "recorded (s since 1970)",
            "sport",
            "samples",
            "seconds",
            "metres",
            "mean beats/min",
        ]);
        let mut faults = Vec::new();
        let surveys = Survey::of_all(&Activity::files(self.files));
        if surveys.iter().all(is_unreadable) {
            let faults = surveys.iter().flat_map(|survey| &survey.faults);
            let faults: Vec<String> = faults.map(ToString::to_string).collect();
            return Err(faults.join("\n"));
        }
        for survey in surveys {
            let summary = &survey.summary;
            table.row([
                json!(survey.activity.name()),
                json!(summary.started),
                json!(summary.sport),
                json!(summary.samples),
                json!(summary.duration.as_secs()),
                json!(summary.distance.map(|metres| metres.round() as i64)),
                json!(summary.heart_rate.mean().map(|rate| rate.round() as i64)),
            ]);
            faults.extend(survey.faults.iter().map(ToString::to_string));
        }
        Ok(table.with((!faults.is_empty()).then(|| faults.join("\n"))))
    }
}

/// Whether nothing of a file could be looked at.
fn is_unreadable(survey: &Survey) -> bool {
    let faults = survey.faults.iter().map(activity::ActivityError::fault);
    survey.summary.samples == 0
        && faults.into_iter().any(|fault| {
            matches!(
                fault,
                Fault::Missing | Fault::Denied | Fault::Folder | Fault::Io(_)
            )
        })
}
