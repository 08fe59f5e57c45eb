//! The registry in a file: a schema for each subject.

use std::convert::Infallible;
use std::path::Path;

use telemetry_core::{FileRegistry, Schema, StreamName};

use super::say;
use crate::Result;

/// Things of one start are numbered from a multiple of this on.
const STARTS: u64 = crate::rig::NUMBERS;

fn subject(number: u64) -> Result<StreamName> {
    Ok(StreamName::new(&format!("rig.S{number}"))?)
}

/// Between one and some sectors.
fn schema(number: u64) -> Result<Schema> {
    let doc = "what it is for ".repeat(usize::try_from(number % 5 * 20)?);
    Ok(Schema::parse(&format!(
        r#"{{"type":"record","name":"S{number}","namespace":"rig","doc":"{doc}","fields":[]}}"#
    ))?)
}

fn open(folder: &Path) -> Result<FileRegistry> {
    Ok(FileRegistry::open(&folder.join("registry"))?)
}

fn say_all(registry: &FileRegistry) -> Result<()> {
    for start in 0..crate::rig::STARTS_MAX {
        for number in start * STARTS + 1.. {
            let versions = registry.versions_blocking(&subject(number)?)?;
            let Some(entry) = versions.first() else {
                break;
            };
            let json = entry.schema.json().to_string();
            say(format_args!("schema {number}"), json.as_bytes())?;
        }
    }
    Ok(())
}

pub(super) fn write(folder: &Path, first: u64) -> Result<Infallible> {
    let registry = open(folder)?;
    say_all(&registry)?;
    for number in first.. {
        let schema = schema(number)?;
        registry.register_blocking(&subject(number)?, &schema)?;
        let json = schema.json().to_string();
        say(format_args!("schema {number}"), json.as_bytes())?;
    }
    Err("there are no more numbers".into())
}

pub(super) fn read(folder: &Path) -> Result<()> {
    say_all(&open(folder)?)
}
