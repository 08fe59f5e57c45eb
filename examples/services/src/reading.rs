//! Records of one type out of deliveries, whatever schema they were written with.
//!
//! A schema is announced in the same log as its records, and the announcement may come after them: then
//! the records are put back and delivered again. This is decided here, once for all services.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::time::Duration;

use telemetry_core::{
    AvroRecord, Batch, BatchReader, Decode, DeviceId, Entry, Envelope, Fingerprint, Instant, Plan,
    PlanError, Schema, SchemaError, StreamName, stream_of,
};
use telemetry_transport::{Delivery, Token};

use crate::machine::backoff;
use crate::{Now, Unavailable};

/// How a service waits for the announcement of a schema whose records are there already.
///
/// The order of a broker's deliveries over its restart is not certain, so an announcement may come
/// after the records of its schema. An embedded log keeps the order, and nothing is gained by waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncementWait {
    /// How often a delivery is put back; default 5.
    pub tries: u32,
    /// How long it stays away each time; default 1 s.
    pub wait: Duration,
}

impl Default for AnnouncementWait {
    fn default() -> Self {
        Self {
            tries: 5,
            wait: Duration::from_secs(1),
        }
    }
}

impl AnnouncementWait {
    /// For a log that keeps the order: an announcement that is not there will not come.
    pub const NONE: Self = Self {
        tries: 0,
        wait: Duration::ZERO,
    };

    /// How long a delivery stays away that was put back `failures` times before; `None` if that is
    /// often enough.
    pub fn after(&self, failures: u32) -> Option<Duration> {
        (failures < self.tries).then_some(self.wait)
    }
}

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
struct Reading<R> {
    stream: StreamName,
    reader: Schema,
    /// By the writer's schema: the way to the reader's and the fingerprint of a batch; `None` where
    /// there is no way.
    plans: HashMap<Fingerprint, Option<(Plan, Fingerprint)>>,
    records: PhantomData<fn() -> R>,
}

impl<R: AvroRecord + for<'a> Decode<'a>> Reading<R> {
    fn new() -> Result<Self, BuiltInError> {
        Ok(Self {
            stream: stream_of::<R>(),
            reader: Schema::parse(R::SCHEMA)?,
            plans: HashMap::new(),
            records: PhantomData,
        })
    }

    /// The schema that a batch is read with, if it is one of records `R`.
    fn schema_of(&self, envelope: &Envelope) -> Option<Fingerprint> {
        envelope.schema.filter(|_| envelope.subject == self.stream)
    }

    /// Whether a schema was looked up.
    fn knows(&self, schema: Fingerprint) -> bool {
        self.plans.contains_key(&schema)
    }

    /// Takes what the registry said of a schema.
    fn learn(&mut self, schema: Fingerprint, entry: &Entry) {
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
    fn records(&self, batch: &Batch, schema: Fingerprint) -> Vec<R> {
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

/// Deliveries that a service looks at one by one, in order, each once the schema of its records is
/// known.
pub(crate) struct Inbox<R> {
    reading: Reading<R>,
    announcements: AnnouncementWait,
    waiting: VecDeque<Delivery>,
    /// The schema of the delivery in front was asked for, and there is no answer yet.
    asked: bool,
    /// Attempts since the registry answered last at which it did not, and when the next one is.
    failures: u32,
    again_at: Option<Instant>,
}

/// What an inbox gives or wants next.
pub(crate) enum Next<R> {
    /// The records of the next delivery; none if they are no `R`, or no `R` can be read from them.
    Records {
        token: Token,
        /// Who made them.
        device: DeviceId,
        records: Vec<R>,
    },
    /// Look this schema up.
    LookUp {
        subject: StreamName,
        fingerprint: Fingerprint,
    },
}

/// What follows from the registry's answer.
#[derive(Debug, PartialEq)]
pub(crate) enum LookedUp {
    /// Nobody waits for this answer: it is late.
    Late,
    /// The schema is known now.
    Known,
    /// The schema is not registered yet: put the delivery back for so long.
    PutBack { delivery: Delivery, after: Duration },
    /// The schema was not announced in time: the records of this delivery cannot be read.
    Unread(Delivery),
    /// The registry does not answer; it is asked again when [`Inbox::due`] says so.
    Unavailable(Unavailable),
}

impl<R: AvroRecord + for<'a> Decode<'a>> Inbox<R> {
    pub(crate) fn new(announcements: AnnouncementWait) -> Result<Self, BuiltInError> {
        Ok(Self {
            reading: Reading::new()?,
            announcements,
            waiting: VecDeque::new(),
            asked: false,
            failures: 0,
            again_at: None,
        })
    }

    /// Whether every delivery was looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes deliveries, behind those that wait.
    pub(crate) fn push(&mut self, deliveries: Vec<Delivery>) {
        self.waiting.extend(deliveries);
    }

    /// The next thing to do; `None` until a delivery, an answer or a tick comes.
    pub(crate) fn next(&mut self) -> Option<Next<R>> {
        if self.asked || self.again_at.is_some() {
            return None;
        }
        let envelope = &self.waiting.front()?.batch.envelope;
        let schema = self.reading.schema_of(envelope);
        if let Some(fingerprint) = schema.filter(|schema| !self.reading.knows(*schema)) {
            self.asked = true;
            return Some(Next::LookUp {
                subject: envelope.subject.clone(),
                fingerprint,
            });
        }
        let delivery = self.waiting.pop_front()?;
        let records = schema.map(|schema| self.reading.records(&delivery.batch, schema));
        Some(Next::Records {
            token: delivery.token,
            device: delivery.batch.envelope.device,
            records: records.unwrap_or_default(),
        })
    }

    /// Takes the registry's answer.
    pub(crate) fn looked_up(
        &mut self,
        now: Now,
        of: (&StreamName, Fingerprint),
        answer: Result<Option<Entry>, Unavailable>,
    ) -> LookedUp {
        let front = self.waiting.front().map(|d| &d.batch.envelope);
        let asked = front.is_some_and(|e| (&e.subject, e.schema) == (of.0, Some(of.1)));
        if !self.asked || !asked {
            return LookedUp::Late;
        }
        self.asked = false;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.again_at = Some(now.instant + backoff(self.failures));
                self.failures = self.failures.saturating_add(1);
                return LookedUp::Unavailable(error);
            }
        };
        self.failures = 0;
        let unknown = match answer {
            Some(entry) => {
                self.reading.learn(of.1, &entry);
                None
            }
            None => self.waiting.pop_front(),
        };
        match unknown {
            None => LookedUp::Known,
            Some(delivery) => match self.announcements.after(delivery.failures) {
                Some(after) => LookedUp::PutBack { delivery, after },
                None => LookedUp::Unread(delivery),
            },
        }
    }

    /// When to call [`Inbox::tick`].
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.again_at
    }

    /// Time passed: a registry that did not answer may be asked again.
    pub(crate) fn tick(&mut self, now: Now) {
        if self.again_at.is_some_and(|at| at <= now.instant) {
            self.again_at = None;
        }
    }
}
