//! The service that stores: registers schemas, enriches, writes, acknowledges.
//!
//! One group of deliveries at a time goes through four steps: its announcements are registered, the
//! versions of its schemas are looked up, it is written, and each delivery is answered by its own
//! outcome. While registry or store do not answer, the group waits and is offered again; what waits
//! meanwhile stays in the log.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use telemetry_core::records::{Enrichment, SchemaAnnouncement};
use telemetry_core::{
    AvroRecord, BatchReader, DeviceId, Envelope, Fingerprint, Instant, Plan, Quarantine,
    Registered, Schema, StreamName, Timestamp, stream_of,
};
use telemetry_storage::{Action, Outcome, Refusal, StoreError};
use telemetry_transport::{ConsumeAction, Delivery};

use crate::machine::backoff;
pub use crate::reading::{AnnouncementWait, BuiltInError};
use crate::{Busy, Enriched, Input, Machine, Now, Output, Unavailable};

/// How the service works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestConfig {
    /// Deliveries written together; default 256.
    pub group_max: usize,
    /// How a batch waits whose schema is not registered yet; then it is set aside.
    pub announcements: AnnouncementWait,
    /// How long a batch stays away that finds no room among the dead letters; default 30 s.
    pub dead_letters_wait: Duration,
    /// Devices that can be enrolled; default 100,000.
    pub devices_max: usize,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            group_max: 256,
            announcements: AnnouncementWait::default(),
            dead_letters_wait: Duration::from_secs(30),
            devices_max: 100_000,
        }
    }
}

/// Versions of schemas remembered; beyond, all are looked up again.
const VERSIONS_MAX: usize = 4_096;

/// What the service has to say.
#[derive(Debug)]
pub enum IngestEvent {
    /// A batch is stored.
    Stored {
        /// Who made it.
        device: DeviceId,
        /// Of which stream.
        stream: StreamName,
        /// When it was published.
        published: Timestamp,
        /// Rows that were not there before.
        new: u32,
        /// Rows that were.
        duplicates: u32,
        /// Rows that were with another content: two devices have one name, or an image was restored.
        conflicts: u32,
    },
    /// A batch stands among the dead letters.
    SetAside {
        envelope: Box<Envelope>,
        reason: String,
    },
    /// A batch is put back and comes again.
    PutBack { cause: PutBack },
    /// A schema was not accepted: its batches will be set aside.
    Quarantined {
        subject: StreamName,
        fingerprint: Fingerprint,
        reason: Quarantine,
    },
    /// A device announced something that is no schema.
    NoSchema {
        /// Which device.
        device: DeviceId,
    },
    /// The registry does not answer; the group waits.
    Waiting {
        /// What was said.
        error: Unavailable,
    },
}

/// Why a batch was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// The store did not say what became of it.
    Unknown(StoreError),
    /// Its schema is not registered yet.
    Announcement,
    /// It has to be set aside, and that failed.
    NotSetAside(ConsumeAction),
}

/// No further device can be enrolled: raise [`IngestConfig::devices_max`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{max} devices are enrolled, no more are allowed")]
pub struct DevicesFull {
    /// What is allowed.
    pub max: usize,
}

/// The group at work.
struct Group {
    deliveries: Vec<Delivery>,
    /// Schemas to be registered, in the order in which they were announced.
    announced: VecDeque<(StreamName, Schema)>,
    /// Schemas whose version is to be looked up.
    unknown: VecDeque<(StreamName, Fingerprint)>,
    /// Asked, and not answered yet.
    asked: bool,
}

pub struct Ingest {
    config: IngestConfig,
    announcements: Plan,
    announcement_stream: StreamName,
    announcement_array: Fingerprint,
    enrolled: HashMap<DeviceId, Enrichment>,
    versions: HashMap<(StreamName, Fingerprint), i32>,
    group: Option<Group>,
    /// Attempts since the store answered last at which nobody did, and when the next one is.
    failures: u32,
    again_at: Option<Instant>,
    outputs: VecDeque<Output<IngestEvent>>,
}

impl Ingest {
    /// A service that first registers the schema which every device speaks: the announcement's.
    pub fn new(config: IngestConfig) -> Result<Self, BuiltInError> {
        let schema = Schema::parse(SchemaAnnouncement::SCHEMA)?;
        let stream = stream_of::<SchemaAnnouncement>();
        let mut ingest = Self {
            config,
            announcements: Plan::compile(&schema, &schema)?,
            announcement_array: schema.array_fingerprint(),
            announcement_stream: stream.clone(),
            enrolled: HashMap::new(),
            versions: HashMap::new(),
            group: Some(Group {
                deliveries: Vec::new(),
                announced: VecDeque::from([(stream, schema)]),
                unknown: VecDeque::new(),
                asked: false,
            }),
            failures: 0,
            again_at: None,
            outputs: VecDeque::new(),
        };
        ingest.go_on();
        Ok(ingest)
    }

    /// What is known about a device, before its batches come.
    pub fn enrol(&mut self, device: DeviceId, enrichment: Enrichment) -> Result<(), DevicesFull> {
        let max = self.config.devices_max;
        if self.enrolled.len() >= max && !self.enrolled.contains_key(&device) {
            return Err(DevicesFull { max });
        }
        self.enrolled.insert(device, enrichment);
        Ok(())
    }

    /// What is known about an enrolled device: later batches are stored with what it says then.
    pub fn enrolment_mut(&mut self, device: DeviceId) -> Option<&mut Enrichment> {
        self.enrolled.get_mut(&device)
    }

    fn begin(&mut self, deliveries: Vec<Delivery>) {
        let mut announced = VecDeque::new();
        let mut unknown = VecDeque::new();
        for delivery in &deliveries {
            let envelope = &delivery.batch.envelope;
            if envelope.subject == self.announcement_stream {
                self.read_announcements(delivery, &mut announced);
            }
            let Some(schema) = envelope.schema else {
                continue;
            };
            let key = (envelope.subject.clone(), schema);
            if !self.versions.contains_key(&key) && !unknown.contains(&key) {
                unknown.push_back(key);
            }
        }
        self.group = Some(Group {
            deliveries,
            announced,
            unknown,
            asked: false,
        });
        self.go_on();
    }

    fn read_announcements(
        &mut self,
        delivery: &Delivery,
        announced: &mut VecDeque<(StreamName, Schema)>,
    ) {
        let batch = &delivery.batch;
        // What cannot be read is refused by the store, with the reason.
        let Ok(mut records) = BatchReader::new(&batch.body, self.announcement_array) else {
            return;
        };
        while let Ok(Some(said)) = records.record::<SchemaAnnouncement>(&self.announcements) {
            match (StreamName::new(&said.subject), Schema::parse(&said.schema)) {
                (Ok(subject), Ok(schema)) => announced.push_back((subject, schema)),
                _ => self.outputs.push_back(Output::Event(IngestEvent::NoSchema {
                    device: batch.envelope.device,
                })),
            }
        }
    }

    /// The next step of the group.
    fn go_on(&mut self) {
        let Some(group) = &mut self.group else {
            return;
        };
        if group.asked || self.again_at.is_some() {
            return;
        }
        if let Some((subject, schema)) = group.announced.front() {
            group.asked = true;
            self.outputs.push_back(Output::Register {
                subject: subject.clone(),
                schema: schema.clone(),
            });
        } else if let Some((subject, fingerprint)) = group.unknown.front() {
            group.asked = true;
            self.outputs.push_back(Output::LookUp {
                subject: subject.clone(),
                fingerprint: *fingerprint,
            });
        } else if group.deliveries.is_empty() {
            self.group = None;
        } else {
            group.asked = true;
            let deliveries = std::mem::take(&mut group.deliveries);
            let enriched = deliveries.into_iter().map(|delivery| Enriched {
                enrichment: self.enrichment(&delivery.batch.envelope),
                delivery,
            });
            let enriched = enriched.collect();
            self.outputs.push_back(Output::Write(enriched));
        }
    }

    fn enrichment(&self, envelope: &Envelope) -> Enrichment {
        let known = self.enrolled.get(&envelope.device);
        let mut enrichment = known.cloned().unwrap_or_default();
        if let Some(schema) = envelope.schema {
            let version = self.versions.get(&(envelope.subject.clone(), schema));
            enrichment.schema_version = version.copied();
        }
        enrichment
    }

    fn registered(
        &mut self,
        now: Now,
        of: (&StreamName, Fingerprint),
        answer: Result<Registered, Unavailable>,
    ) {
        let Some(group) = &mut self.group else {
            return;
        };
        let asked = group.announced.front();
        if !group.asked || asked.is_none_or(|(s, schema)| (s, schema.fingerprint()) != of) {
            return;
        }
        group.asked = false;
        match answer {
            Ok(answer) => {
                group.announced.pop_front();
                if let Registered::Quarantined(reason) = answer {
                    self.say(IngestEvent::Quarantined {
                        subject: of.0.clone(),
                        fingerprint: of.1,
                        reason,
                    });
                }
            }
            Err(error) => self.wait(now, Some(error)),
        }
        self.go_on();
    }

    fn looked_up(
        &mut self,
        now: Now,
        of: (&StreamName, Fingerprint),
        answer: Result<Option<u32>, Unavailable>,
    ) {
        let Some(group) = &mut self.group else {
            return;
        };
        let asked = group.unknown.front();
        if !group.asked || asked.is_none_or(|(stream, schema)| (stream, *schema) != of) {
            return;
        }
        group.asked = false;
        match answer {
            Ok(version) => {
                let key = group.unknown.pop_front();
                let version = version.and_then(|version| i32::try_from(version).ok());
                if let (Some(key), Some(version)) = (key, version) {
                    if self.versions.len() >= VERSIONS_MAX {
                        self.versions.clear();
                    }
                    self.versions.insert(key, version);
                }
            }
            Err(error) => self.wait(now, Some(error)),
        }
        self.go_on();
    }

    /// Answers each delivery by its own outcome.
    fn written(&mut self, now: Now, outcomes: Vec<(Enriched, Outcome)>) {
        let waits = self.group.as_ref().is_some_and(|g| g.asked);
        if !waits || outcomes.is_empty() {
            return;
        }
        self.group = None;
        let mut stored = Vec::new();
        let mut unknown = 0;
        let count = outcomes.len();
        for (enriched, outcome) in outcomes {
            let delivery = enriched.delivery;
            match outcome {
                Outcome::Stored {
                    new,
                    duplicates,
                    conflicts,
                } => {
                    stored.push(delivery.token);
                    let envelope = delivery.batch.envelope;
                    self.say(IngestEvent::Stored {
                        device: envelope.device,
                        stream: envelope.subject,
                        published: envelope.published,
                        new,
                        duplicates,
                        conflicts,
                    });
                }
                Outcome::Refused(refusal) => self.refused(delivery, &refusal),
                Outcome::Unknown(error) => {
                    unknown += 1;
                    let after = backoff(delivery.failures);
                    self.put_back(delivery, after, PutBack::Unknown(error));
                }
            }
        }
        if !stored.is_empty() {
            self.outputs.push_back(Output::Acknowledge(stored));
        }
        match unknown == count {
            // The store is away altogether: nothing more is taken until it may be back.
            true => self.wait(now, None),
            false => self.failures = 0,
        }
    }

    fn refused(&mut self, delivery: Delivery, refusal: &Refusal) {
        let announcements = self.config.announcements;
        if refusal.action() == Action::Announce
            && let Some(after) = announcements.after(delivery.failures)
        {
            self.put_back(delivery, after, PutBack::Announcement);
            return;
        }
        self.outputs.push_back(Output::Reject {
            reason: refusal.to_string(),
            delivery,
        });
    }

    fn rejected(&mut self, delivery: Delivery, reason: String, answer: Result<(), ConsumeAction>) {
        match answer {
            Ok(()) => self.say(IngestEvent::SetAside {
                envelope: Box::new(delivery.batch.envelope),
                reason,
            }),
            // It is refused and rejected again when it comes again: nobody is ended by it.
            Err(action) => {
                let after = self.config.dead_letters_wait;
                self.put_back(delivery, after, PutBack::NotSetAside(action));
            }
        }
    }

    fn put_back(&mut self, delivery: Delivery, after: Duration, cause: PutBack) {
        self.outputs.push_back(Output::Retry { delivery, after });
        self.say(IngestEvent::PutBack { cause });
    }

    fn wait(&mut self, now: Now, error: Option<Unavailable>) {
        self.again_at = Some(now.instant + backoff(self.failures));
        self.failures = self.failures.saturating_add(1);
        if let Some(error) = error {
            self.say(IngestEvent::Waiting { error });
        }
    }

    fn say(&mut self, event: IngestEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

impl Machine for Ingest {
    type Event = IngestEvent;

    fn handle_input(&mut self, now: Now, input: Input) -> Result<(), Busy> {
        match input {
            Input::Delivered(deliveries) => {
                let room = self.room();
                if deliveries.len() > room {
                    return Err(Busy { deliveries, room });
                }
                if !deliveries.is_empty() {
                    self.begin(deliveries);
                }
            }
            Input::Registered {
                subject,
                fingerprint,
                answer,
            } => self.registered(now, (&subject, fingerprint), answer),
            Input::LookedUp {
                subject,
                fingerprint,
                answer,
            } => {
                let version = answer.map(|entry| entry.map(|entry| entry.version));
                self.looked_up(now, (&subject, fingerprint), version);
            }
            Input::Written(outcomes) => self.written(now, outcomes),
            Input::Rejected {
                delivery,
                reason,
                answer,
            } => self.rejected(delivery, reason, answer),
            Input::Appended { .. } => {}
            Input::Tick => {
                if self.again_at.is_some_and(|at| at <= now.instant) {
                    self.again_at = None;
                    self.go_on();
                }
            }
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Option<Output<IngestEvent>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.again_at
    }

    fn room(&self) -> usize {
        match self.group.is_none() && self.again_at.is_none() {
            true => self.config.group_max,
            false => 0,
        }
    }
}
