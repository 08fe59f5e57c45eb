//! Records of one type out of batches, whatever schema they were written with.

use std::collections::HashMap;
use std::marker::PhantomData;

use telemetry_core::{
    AvroRecord, Batch, BatchReader, Decode, Entry, Envelope, Fingerprint, Plan, PlanError, Schema,
    SchemaError, StreamName, stream_of,
};

/// Schemas remembered of one stream; beyond, all are looked up again.
const SCHEMAS_MAX: usize = 1_024;

/// Something that this release cannot do with a schema of its own.
#[derive(Debug, thiserror::Error)]
pub enum BuiltInError {
    /// It is no schema.
    #[error("built-in schema: {0}")]
    Schema(#[from] SchemaError),
    /// It cannot be read.
    #[error("built-in schema: {0}")]
    Plan(#[from] PlanError),
}

/// Reads records of type `R`.
pub(crate) struct Reading<R> {
    stream: StreamName,
    reader: Schema,
    /// By the writer's schema: the way to the reader's and the fingerprint of a batch; `None` where
    /// there is no way.
    plans: HashMap<Fingerprint, Option<(Plan, Fingerprint)>>,
    records: PhantomData<fn() -> R>,
}

impl<R: AvroRecord + for<'a> Decode<'a>> Reading<R> {
    pub(crate) fn new() -> Result<Self, BuiltInError> {
        Ok(Self {
            stream: stream_of::<R>(),
            reader: Schema::parse(R::SCHEMA)?,
            plans: HashMap::new(),
            records: PhantomData,
        })
    }

    /// The schema that a batch is read with, if it is one of records `R`.
    pub(crate) fn schema_of(&self, envelope: &Envelope) -> Option<Fingerprint> {
        envelope.schema.filter(|_| envelope.subject == self.stream)
    }

    /// Whether a schema was looked up.
    pub(crate) fn knows(&self, schema: Fingerprint) -> bool {
        self.plans.contains_key(&schema)
    }

    /// Takes what the registry said of a schema.
    pub(crate) fn learn(&mut self, schema: Fingerprint, entry: &Entry) {
        if self.plans.len() >= SCHEMAS_MAX {
            self.plans.clear();
        }
        let accepted = entry.quarantine.is_none();
        let plan = accepted.then(|| Plan::compile(&entry.schema, &self.reader).ok());
        let plan = plan.flatten().filter(|plan| plan.problems().is_empty());
        let array = entry.schema.array_fingerprint();
        self.plans.insert(schema, plan.map(|plan| (plan, array)));
    }

    /// The records of a batch, up to one that cannot be read: the store sets such a batch aside.
    pub(crate) fn records(&self, batch: &Batch, schema: Fingerprint) -> Vec<R> {
        let mut records = Vec::new();
        if let Some(Some((plan, array))) = self.plans.get(&schema)
            && let Ok(mut reader) = BatchReader::new(&batch.body, *array)
        {
            while let Ok(Some(record)) = reader.record::<R>(plan) {
                records.push(record);
            }
        }
        records
    }
}
