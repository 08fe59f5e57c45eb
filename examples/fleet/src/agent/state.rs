//! How the device is doing, sampled every second.

use std::fs::File;
use std::io::Read as _;

use telemetry_core::records::SystemState;

use super::{Agent, AgentError};
use crate::clock::Now;

/// What an agent asks its machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostPort(());

impl HostPort {
    /// Memory of this process in bytes, where the system tells.
    fn memory_bytes(self) -> Option<i64> {
        let mut text = String::new();
        File::open("/proc/self/statm")
            .ok()?
            .take(256)
            .read_to_string(&mut text)
            .ok()?;
        let pages: i64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4096)
    }
}

impl Agent {
    /// Appends a `SystemState`; the first one of an epoch also says how the one before ended.
    pub fn sample_state(&mut self, now: Now) -> Result<(), AgentError> {
        let spool = self.producer.spool();
        let stats = spool.stats();
        let previous = spool.previous().filter(|_| self.first_state);
        let state = SystemState {
            time: self.wall,
            cpu_percent: None,
            memory_bytes: self.port.memory_bytes(),
            uptime_s: Some(now.since_start.as_secs_f64()),
            battery_percent: None,
            spool_depth_records: stats.depth_records as i64,
            spool_depth_bytes: stats.bytes as i64,
            next_seqs: listed(spool.next_seqs()),
            previous_epoch: previous.map(|p| p.epoch.get() as i64),
            previous_next_seqs: previous.map(|p| listed(p.next_seqs.iter().map(|(n, s)| (n, *s)))),
        };
        self.first_state = false;
        Ok(self.producer.append(&state)?)
    }
}

/// `stream:seq`, separated by spaces.
fn listed<'a>(
    seqs: impl Iterator<Item = (&'a telemetry_core::StreamName, telemetry_core::Seq)>,
) -> String {
    let parts: Vec<String> = seqs.map(|(name, seq)| format!("{name}:{seq}")).collect();
    parts.join(" ")
}
