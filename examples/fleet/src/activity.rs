//! Activities as the trackers replay them: samples, and behind the last one what was wrong.

use std::collections::VecDeque;
use std::path::PathBuf;

pub use ::activity::{ActivityError, Sample};

/// An activity to replay.
#[derive(Clone, Debug)]
pub struct Activity {
    /// What it is called in reports and as a source of records.
    pub name: String,
    file: ::activity::Activity,
}

impl From<::activity::Activity> for Activity {
    fn from(file: ::activity::Activity) -> Self {
        Self {
            name: file.name().to_owned(),
            file,
        }
    }
}

impl Activity {
    /// The activities that the program carries.
    pub fn built_in() -> Vec<Self> {
        let all = ::activity::Activity::built_in();
        all.into_iter().map(Self::from).collect()
    }

    /// An activity in a file.
    pub fn file(path: PathBuf) -> Self {
        ::activity::Activity::file(path).into()
    }

    /// Opens it from the start.
    pub fn open(&self) -> Result<Samples, ActivityError> {
        Ok(Samples {
            samples: self.file.samples()?,
            faults: None,
        })
    }
}

/// The samples of an activity, one after another, and then its faults.
pub struct Samples {
    samples: ::activity::Samples,
    faults: Option<VecDeque<ActivityError>>,
}

impl Samples {
    /// When the activity was recorded, once the first sample with a time was read: seconds since
    /// 1970.
    pub const fn recorded_at(&self) -> Option<i64> {
        self.samples.recorded_at()
    }
}

impl Iterator for Samples {
    type Item = Result<Sample, ActivityError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(sample) = self.samples.next() {
            return Some(Ok(sample));
        }
        let faults = || self.samples.faults().into();
        let faults = self.faults.get_or_insert_with(faults);
        faults.pop_front().map(Err)
    }
}
