//! `xpt store`: what rows there are, what is missing, and the rows themselves.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use telemetry_core::{DeviceId, Plan, Registry as _, Schema, StreamName, Timestamp};
use telemetry_storage::{
    Accounting as _, Limits, Selection, SqliteOptions, SqliteStore, Store as _, StoredRecord,
};
use terminal::counted;

use crate::answer::{Answer, Failure, Table};
use crate::datums::shown;
use crate::numbers::stream_called;

/// What to do with a store.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show how many records each device, stream and epoch has.
    Stats {
        /// The store's file, e.g. fleet-data/run-1/store.sqlite.
        store: PathBuf,
    },
    /// List the numbers that devices gave and that are not stored.
    Missing {
        /// The store's file, e.g. fleet-data/run-1/store.sqlite.
        store: PathBuf,
    },
    /// Show the rows of a stream, as its newest schema reads them.
    Read(Read),
}

#[derive(Args)]
pub(crate) struct Read {
    /// The store's file, e.g. fleet-data/run-1/store.sqlite.
    store: PathBuf,
    /// The stream, e.g. ActivitySample or xp.telemetry.ActivitySample.
    stream: String,
    /// Show only the rows of this device.
    #[arg(long)]
    device: Option<DeviceId>,
    /// Show only rows from this event time on, in microseconds since 1970.
    #[arg(long, value_name = "US")]
    from: Option<i64>,
    /// Show only rows before this event time, in microseconds since 1970.
    #[arg(long, value_name = "US")]
    until: Option<i64>,
    /// Show at most this many rows: the first ones.
    #[arg(long, default_value_t = 100_000)]
    limit: usize,
}

impl Command {
    pub(crate) fn run(self) -> Result<Answer, Failure> {
        match self {
            Self::Stats { store } => stats(&open(&store, Limits::default())?),
            Self::Missing { store } => missing_in(&store),
            Self::Read(read) => read.run(),
        }
    }
}

/// Opens a store to look at it.
pub(crate) fn open(path: &Path, limits: Limits) -> Result<SqliteStore, Failure> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) => return Err(format!("{shown}: {error}")),
        Ok(found) if found.is_dir() => {
            return Err(format!(
                "{shown}: this is a folder; give the file of a store, e.g. \
                 fleet-data/run-1/store.sqlite"
            ));
        }
        Ok(found) if found.len() == 0 => {
            return Err(format!(
                "{shown}: the file is empty; put the newest copy of it back"
            ));
        }
        Ok(_) => {}
    }
    let options = SqliteOptions {
        limits,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open_read_only(path, options);
    store.map_err(|error| format!("{shown}: {error}"))
}

fn stats(store: &SqliteStore) -> Result<Answer, Failure> {
    let mut table = Table::new(["stream", "device", "epoch", "stored", "last", "missing"]);
    let mut missing = 0;
    for p in pollster::block_on(store.presence()).map_err(|e| e.to_string())? {
        let gap = p.last_seq.saturating_sub(p.stored);
        missing += gap;
        table.row([
            json!(p.stream.as_str()),
            json!(p.device.to_string()),
            json!(p.epoch.get()),
            json!(p.stored),
            json!(p.last_seq),
            json!(gap),
        ]);
    }
    let records = counted(missing, "record is", "records are");
    let fault = format!("{records} missing: `xpt store missing` names them");
    Ok(table.with((missing > 0).then_some(fault)))
}

/// Numbers that are not stored.
pub(crate) fn missing_in(path: &Path) -> Result<Answer, Failure> {
    let store = open(path, Limits::default())?;
    let mut table = Table::new(["stream", "device", "epoch", "first", "last"]);
    let mut names = Vec::new();
    let gaps = pollster::block_on(store.gaps());
    for gap in gaps.map_err(|e| e.to_string())? {
        let (device, epoch, stream) = (gap.device, gap.epoch, &gap.stream);
        names.push(format!("{device}:{epoch}:{stream}:{}", gap.first));
        table.row([
            json!(gap.stream.as_str()),
            json!(gap.device.to_string()),
            json!(gap.epoch.get()),
            json!(gap.first.get()),
            json!(gap.last.get()),
        ]);
    }
    let data = path.parent().filter(|data| data.join("log").is_dir());
    let data = data.map_or("DIR".to_owned(), |data| data.display().to_string());
    let fault = names.first().map(|name| {
        format!("records are missing: `xpt why {name} --data {data}` says where the first one is")
    });
    Ok(table.with(fault))
}

/// The first records of a selection.
fn first(
    store: &SqliteStore,
    stream: &StreamName,
    mut selection: Selection,
    reader: &Schema,
    count: usize,
) -> Result<Vec<StoredRecord>, Failure> {
    let mut rows = Vec::new();
    while rows.len() < count {
        selection.limit = (count - rows.len()).min(Selection::default().limit);
        let page = pollster::block_on(store.read(stream, &selection, reader));
        let page = page.map_err(|e| e.to_string())?;
        rows.extend(page.records);
        match page.next {
            Some(next) => selection.after = Some(next),
            None => break,
        }
    }
    Ok(rows)
}

impl Read {
    fn run(self) -> Result<Answer, Failure> {
        let store = open(&self.store, Limits::default())?;
        let presence = pollster::block_on(store.presence()).map_err(|e| e.to_string())?;
        let stream = stream_called(&self.stream, presence.iter().map(|p| &p.stream))?;
        let versions = pollster::block_on(store.versions(&stream));
        let versions = versions.map_err(|e| e.to_string())?;
        let newest = versions.iter().rev().find(|e| e.quarantine.is_none());
        let reader = newest.ok_or_else(|| {
            format!("no rows of {stream}: `xpt store stats` lists the streams that are there")
        })?;
        let selection = Selection {
            device: self.device,
            from: self.from.map(Timestamp::from_micros),
            until: self.until.map(Timestamp::from_micros),
            ..Selection::default()
        };
        let rows = first(&store, &stream, selection, &reader.schema, self.limit)?;
        let plan = Plan::compile(&reader.schema, &reader.schema).map_err(|e| e.to_string())?;
        let fields = reader.schema.record().map_or(&[][..], |r| &r.fields);
        let key = ["device", "epoch", "seq"].map(str::to_owned);
        let names = fields.iter().map(|f| f.name.clone());
        let mut table = Table::new(key.into_iter().chain(names));
        for row in rows {
            let key = [
                json!(row.device.to_string()),
                json!(row.epoch.get()),
                json!(row.seq.get()),
            ];
            let record = row.value(&plan).map_err(|e| e.to_string())?;
            let values = fields.iter().map(|field| {
                let value = record.field(&reader.schema, &field.name);
                value.map_or(Value::Null, |value| {
                    shown(&reader.schema, field.node, value)
                })
            });
            table.row(key.into_iter().chain(values.collect::<Vec<_>>()));
        }
        Ok(table.fine())
    }
}
