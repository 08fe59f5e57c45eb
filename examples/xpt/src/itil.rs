//! `xpt itil`: an incident log, checked and played again.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use telemetry_itil::{Config, FileLog, Itil};

use crate::answer::{Answer, Failure, Table};

/// What to do with an incident log.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check every seal of the hash chain.
    Verify {
        /// The log, e.g. fleet-data/run-1/incidents.log.
        log: PathBuf,
    },
    /// Show the incidents that follow from the log.
    Replay {
        /// The log, e.g. fleet-data/run-1/incidents.log.
        log: PathBuf,
    },
}

impl Command {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Verify { log } => verify(&log),
            Self::Replay { log } => replay(&log),
        }
    }
}

/// Checks every seal of the chain.
pub(crate) fn verify(log: &Path) -> Result<Answer, Failure> {
    let (mut groups, mut entries, mut head) = (0u64, 0usize, None);
    let torn = FileLog::inspect(log, |group| {
        groups += 1;
        entries += group.entries.len();
        head = Some(group.hash);
    });
    let torn = match torn {
        Ok(torn) => torn,
        Err(error @ telemetry_itil::FileLogError::Corrupt { .. }) => {
            let mut table = Table::new(["what", "count"]);
            table.row([json!("groups before the damage"), json!(groups)]);
            let fault = format!("{error}: compare with a copy; entries were changed");
            return Ok(table.with(Some(fault)));
        }
        Err(error) => return Err(error.to_string()),
    };
    let hash = head.map(|h| h.iter().map(|b| format!("{b:02x}")).collect::<String>());
    let mut table = Table::new(["what", "count"]);
    table.row([json!("groups"), json!(groups)]);
    table.row([json!("entries"), json!(entries)]);
    table.row([json!("ends within a group"), json!(torn)]);
    table.row([json!("hash of the last"), json!(hash)]);
    Ok(table.fine())
}

fn replay(log: &Path) -> Result<Answer, Failure> {
    let mut itil = Itil::new(Config::default()).map_err(|e| e.to_string())?;
    let mut result = Ok(());
    FileLog::inspect(log, |group| {
        if result.is_ok() {
            result = itil.replay_group(&group);
        }
    })
    .map_err(|e| e.to_string())?;
    result.map_err(|e| e.to_string())?;
    let mut table = Table::new(["incident", "priority", "state", "began", "service", "what"]);
    for incident in itil.incidents() {
        table.row([
            json!(incident.id.to_string()),
            json!(incident.priority.as_str()),
            json!(incident.state.as_str()),
            json!(incident.occurred_at.to_string()),
            json!(incident.service),
            json!(incident.signature),
        ]);
    }
    Ok(table.fine())
}
