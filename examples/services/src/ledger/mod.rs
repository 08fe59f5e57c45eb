//! The loss ledger: what was numbered against what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use telemetry_core::records::SystemState;
use telemetry_core::{AvroRecord, DeviceId, Envelope, Schema, StreamName, Timestamp, stream_of};
use telemetry_storage::{
    Accounting, Presence, ReadError, Selection, Store, StoreError, StoredRecord, read_all,
};

use crate::Intervals;

/// Event time read at once.
const SLICE: Duration = Duration::from_secs(3600);

/// States of one slice: many times what a device writes in an hour.
const SLICE_MAX: usize = 1_000_000;

/// One device, stream and all of its epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLine {
    /// Device.
    pub device: DeviceId,
    /// Stream.
    pub stream: StreamName,
    /// Records that were given a number and made durable.
    pub numbered: u64,
    /// Records that are stored.
    pub stored: u64,
    /// Records that were refused and stand among the dead letters.
    pub set_aside: u64,
}

impl StreamLine {
    /// Records that are neither stored nor set aside.
    pub const fn missing(&self) -> u64 {
        self.numbered.saturating_sub(self.stored + self.set_aside)
    }
}

/// What the ledger is told.
#[derive(Debug)]
pub enum LedgerInput<'a> {
    /// A device says how far it has numbered a stream in an epoch.
    Numbered {
        /// Device.
        device: DeviceId,
        /// Opening of its spool.
        epoch: u64,
        /// Stream.
        stream: StreamName,
        /// The next number, at least 1.
        next: u64,
    },
    /// A stored `SystemState`: the first of an epoch says how the one before it ended.
    State(&'a StoredRecord),
    /// A batch stands among the dead letters.
    SetAside(&'a Envelope),
    /// What is stored.
    Present(Presence),
}

type Key = (DeviceId, StreamName, u64);

/// Compares every number given with every row stored.
#[derive(Debug)]
pub struct Ledger {
    states: Schema,
    /// The last number of each epoch that somebody reported.
    ends: BTreeMap<Key, u64>,
    present: BTreeMap<Key, Presence>,
    set_aside: BTreeMap<(DeviceId, StreamName), Intervals>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self {
            states: Schema::parse(SystemState::SCHEMA)?,
            ends: BTreeMap::new(),
            present: BTreeMap::new(),
            set_aside: BTreeMap::new(),
        })
    }

    /// Takes what somebody knows.
    pub fn handle_input(&mut self, input: LedgerInput<'_>) {
        match input {
            LedgerInput::Numbered {
                device,
                epoch,
                stream,
                next,
            } => {
                let end = next.saturating_sub(1);
                let known = self.ends.entry((device, stream, epoch)).or_default();
                *known = end.max(*known);
            }
            LedgerInput::State(row) => self.state(row),
            LedgerInput::SetAside(envelope) => {
                let key = (envelope.device, envelope.subject.clone());
                let first = envelope.first_seq.get();
                let seqs = first..first.saturating_add(u64::from(envelope.count));
                let records = self.set_aside.entry(key).or_default();
                records.insert(envelope.epoch.get(), seqs);
            }
            LedgerInput::Present(presence) => {
                let epoch = presence.epoch.get();
                let key = (presence.device, presence.stream.clone(), epoch);
                self.present.insert(key, presence);
            }
        }
    }

    fn state(&mut self, row: &StoredRecord) {
        let Ok(state) = row.read_as::<SystemState>() else {
            return;
        };
        let (Some(epoch), Some(seqs)) = (state.previous_epoch, state.previous_next_seqs) else {
            return;
        };
        let Ok(epoch) = u64::try_from(epoch) else {
            return;
        };
        for part in seqs.split(' ') {
            if let Some((stream, next)) = part.rsplit_once(':')
                && let (Ok(stream), Ok(next)) = (StreamName::new(stream), next.parse())
            {
                self.handle_input(LedgerInput::Numbered {
                    device: row.device,
                    epoch,
                    stream,
                    next,
                });
            }
        }
    }

    /// A line for each device and stream that has numbered or stored something.
    pub fn lines(&self) -> Vec<StreamLine> {
        let keys: BTreeSet<&Key> = self.ends.keys().chain(self.present.keys()).collect();
        let mut lines: BTreeMap<(DeviceId, StreamName), StreamLine> = BTreeMap::new();
        for key in keys {
            let present = self.present.get(key);
            let line = (key.0, key.1.clone());
            let set_aside = self.set_aside.get(&line).map_or(0, Intervals::count);
            let line = lines.entry(line).or_insert_with(|| StreamLine {
                device: key.0,
                stream: key.1.clone(),
                numbered: 0,
                stored: 0,
                set_aside,
            });
            let reported = self.ends.get(key).copied().unwrap_or(0);
            // An epoch whose end nobody reported went at least as far as what is stored of it.
            line.numbered += reported.max(present.map_or(0, |p| p.last_seq));
            line.stored += present.map_or(0, |p| p.stored);
        }
        let lines = lines.into_values();
        lines.filter(|l| l.numbered + l.stored > 0).collect()
    }

    /// Takes what a store knows: presence, and the states of devices in event times, a slice at a
    /// time, for a run may have more of them than fit in memory.
    pub async fn read(
        &mut self,
        store: &(impl Store + Accounting),
        states: impl IntoIterator<Item = (DeviceId, Range<Timestamp>)>,
    ) -> Result<(), ReadError> {
        let stream = stream_of::<SystemState>();
        for (device, times) in states {
            let mut from = times.start;
            while from < times.end {
                let until = from + SLICE;
                let selection = Selection {
                    device: Some(device),
                    from: Some(from),
                    until: Some(until),
                    ..Selection::default()
                };
                let page = read_all(store, &stream, &selection, &self.states, SLICE_MAX).await?;
                page.records
                    .iter()
                    .for_each(|row| self.handle_input(LedgerInput::State(row)));
                from = until;
            }
        }
        for presence in store.presence().await? {
            self.handle_input(LedgerInput::Present(presence));
        }
        Ok(())
    }
}
