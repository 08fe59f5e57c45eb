//! Reads an activity and writes it again, as a FIT file that is whole: `rewrite IN.fit OUT.fit`.

use std::fs::File;

use activity::{Activity, Survey, write};

#[expect(clippy::print_stdout, reason = "a command tells what it did")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1);
    let (Some(from), Some(to)) = (paths.next(), paths.next()) else {
        return Err("two names: rewrite IN.fit OUT.fit".into());
    };
    let activity = Activity::file(from.into());
    let survey = Survey::of(&activity);
    for fault in &survey.faults {
        println!("{}", fault.to_string().escape_debug());
    }
    let started = survey.summary.started.unwrap_or_default();
    let samples = write(File::create(to)?, started, 0, activity.samples()?)?;
    println!("{samples} samples");
    Ok(())
}
