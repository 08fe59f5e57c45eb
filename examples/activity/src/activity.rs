//! An activity: a name, and bytes that can be read again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::source::Source;
use crate::{ActivityError, Fault, Samples};

/// Longest name in bytes: it becomes part of a source's name, which has at most 128.
const NAME_MAX: usize = 100;

/// An activity to read.
#[derive(Clone, Debug)]
pub struct Activity {
    name: String,
    pub(crate) source: Source,
}

macro_rules! built_in {
    ($($name:literal),+) => {
        [$(($name, include_bytes!(concat!("../../data/", $name, ".fit")).as_slice())),+]
    };
}

/// Real activities that the program carries; see `examples/data/README.md` for their source.
const BUILT_IN: [(&str, &[u8]); 5] = built_in!(
    "garmin-edge-500-activity",
    "activity-small-fenix2-run",
    "sample-activity-indoor-trainer",
    "garmin-fenix-5-bike",
    "garmin-fenix-5-walk"
);

impl Activity {
    /// The activities that the program carries.
    pub fn built_in() -> Vec<Self> {
        BUILT_IN
            .into_iter()
            .map(|(name, bytes)| Self {
                name: name.to_owned(),
                source: Source::Bytes(bytes),
            })
            .collect()
    }

    /// The activity in a file, packed with gzip or not; `-` is standard input.
    ///
    /// Nothing is opened yet. It is called as its file is, without the ending.
    pub fn file(path: PathBuf) -> Self {
        Self {
            name: name(&path, 0),
            source: Source::path(path),
        }
    }

    /// Activities in files. Files of one name in several folders are called after the folders, too,
    /// and a file that is named twice gets a number: no two have one name.
    pub fn files(paths: impl IntoIterator<Item = PathBuf>) -> Vec<Self> {
        let mut all: Vec<Self> = paths.into_iter().map(Self::file).collect();
        for folders in 1..=3 {
            for (index, longer) in longer(&all, folders) {
                all[index].name = longer;
            }
        }
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for index in ambiguous(&all) {
            let it = &mut all[index];
            let count = seen.entry(it.name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                it.name = format!("{} ({count})", it.name);
            }
        }
        all
    }

    /// What it is called in reports and as a source of records: at most 110 bytes. It is foreign
    /// text: escape it before it is shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens it from the start.
    ///
    /// # Errors
    ///
    /// The file cannot be opened. What is wrong inside is in [`Samples::faults`].
    pub fn samples(&self) -> Result<Samples, ActivityError> {
        Samples::open(self)
    }

    pub(crate) fn error(&self, position: Option<u64>, fault: Fault) -> ActivityError {
        let file = match &self.source {
            Source::Bytes(_) => self.name.clone(),
            Source::Path { path, .. } if path.as_os_str() == "-" => self.name.clone(),
            Source::Path { path, .. } => path.display().to_string(),
        };
        ActivityError::new(file, position, fault)
    }
}

/// Names with so many folders, for activities whose name another file has as well; folders do not
/// tell a file from itself.
fn longer(all: &[Activity], folders: usize) -> Vec<(usize, String)> {
    let path = |activity: &Activity| match &activity.source {
        Source::Path { path, .. } => path.clone(),
        Source::Bytes(_) => PathBuf::new(),
    };
    let mut paths: BTreeMap<&str, BTreeSet<PathBuf>> = BTreeMap::new();
    for activity in all {
        paths
            .entry(&activity.name)
            .or_default()
            .insert(path(activity));
    }
    let several = |activity: &&Activity| paths[activity.name.as_str()].len() > 1;
    let places = all.iter().enumerate();
    places
        .filter(|(_, activity)| several(activity))
        .map(|(index, activity)| (index, name(&path(activity), folders)))
        .collect()
}

/// Positions of the activities whose name is not theirs alone.
fn ambiguous(all: &[Activity]) -> Vec<usize> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for activity in all {
        *count.entry(&activity.name).or_default() += 1;
    }
    let several = |index: &usize| count[all[*index].name.as_str()] > 1;
    (0..all.len()).filter(several).collect()
}

/// The name of a file without its ending, behind the names of so many folders around it.
fn name(path: &Path, folders: usize) -> String {
    if path.as_os_str() == "-" {
        return "standard-input".to_owned();
    }
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    let mut name = stem.to_string_lossy().into_owned();
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    if packed && let Some(inner) = name.strip_suffix(".fit") {
        name.truncate(inner.len());
    }
    for folder in path.ancestors().skip(1).take(folders) {
        if let Some(folder) = folder.file_name() {
            name = format!("{}/{name}", folder.to_string_lossy());
        }
    }
    // The end of a name tells files apart: recorders put the date first, and folders come before.
    let cut = name.len().saturating_sub(NAME_MAX);
    let cut = (cut..=name.len()).find(|at| name.is_char_boundary(*at));
    name.split_off(cut.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Vec<String> {
        let all = Activity::files(paths.iter().map(PathBuf::from));
        all.into_iter().map(|activity| activity.name).collect()
    }

    #[test]
    fn no_two_activities_have_one_name() {
        assert_eq!(names(&["a/ride.fit", "b/run.fit.gz"]), ["ride", "run"]);
        assert_eq!(names(&["a/ride.fit", "b/ride.fit"]), ["a/ride", "b/ride"]);
        assert_eq!(names(&["x/a/r.fit", "y/a/r.fit"]), ["x/a/r", "y/a/r"]);
        assert_eq!(
            names(&["a/r.fit", "a/r.fit", "a/r.fit"]),
            ["r", "r (2)", "r (3)"]
        );
        assert_eq!(names(&["-"]), ["standard-input"]);
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_end() {
        let long = format!("{}-7.fit", "é".repeat(90));
        let [name] = &names(&[&long])[..] else {
            panic!("one name");
        };
        assert!(name.len() <= NAME_MAX && name.ends_with("é-7"));
    }
}
