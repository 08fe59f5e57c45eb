//! The feedback gateway: what wearers are told about goals and health, through what they wear.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use telemetry_airpods::{
    Alert, AlertId, Cue, Earcon, Haptic, Input, Output, Policy, Reason, Route, Router, SpokenText,
    Urgency, proximity,
};
use telemetry_core::records::{ActivitySample, FeedbackGiven};
use telemetry_core::{
    AvroRecord, Batch, BatchReader, DeviceId, Fingerprint, Plan, PlanError, Registry, Schema,
    SchemaError, Timestamp,
};

use crate::clock::Now;
use crate::speech::Voice;

/// What the wearers' pods advertise: captured frames, see `testdata/airpods`.
const PODS: [&str; 3] = [
    // Pro 2 (USB-C), both in ear.
    "07190124200b778f1100055f5740de21491ea5bcb9b3a07f8e950d",
    // Pro 3, both in ear.
    "07190127202b998f110009095a5cff4652e7000000761cb2372224",
    // Pro 2 (USB-C), both in the case, lid closed.
    "07190124207577b83a0005be5ec35a37dcf327b8478682685f4bd6",
];

/// How often the pods are heard.
const PODS_EVERY: Duration = Duration::from_secs(5);

/// A goal each so many metres.
const GOAL_M: f64 = 5_000.0;

/// Beats per minute above which the wearer is warned, and below which the warning is over.
const HEART_RATE: (i32, i32) = (175, 165);

/// Cues kept for the report.
const CUES_MAX: usize = 1_000;

/// How a cue ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It reached the wearer this way.
    Given(Route),
    /// It did not, and why.
    NotGiven(Reason),
}

/// A cue for the report.
#[derive(Clone, Debug)]
pub struct CueLine {
    /// When it was decided.
    pub at: Timestamp,
    /// Whose tracker.
    pub device: DeviceId,
    /// What it is about.
    pub topic: String,
    /// What was to be said.
    pub text: String,
    /// How it ended, once it did.
    pub ending: Option<Ending>,
    /// Sound files of it: earcon, speech. Speech is missing where nothing can speak.
    pub sounds: Vec<PathBuf>,
    /// Whether it was spoken.
    pub spoken: bool,
    /// How it feels where the wearer has something that vibrates.
    pub haptic: Haptic,
    urgency: Urgency,
}

/// Listens to samples and routes what their wearers should know.
pub struct Coach {
    reader: Schema,
    /// By fingerprint: the way to the coach's own schema, and the fingerprint of a batch.
    plans: HashMap<Fingerprint, (Plan, Fingerprint)>,
    wearers: BTreeMap<DeviceId, Wearer>,
    cues: Vec<CueLine>,
    more_cues: u64,
    records: Vec<FeedbackGiven>,
    voice: Option<Voice>,
    sounds: PathBuf,
}

struct Wearer {
    router: Router,
    pods: Option<proximity::Frame>,
    heard_at: Option<Duration>,
    goals: u64,
    heart_rate_high: bool,
    /// Last sample of each source: a batch that comes again is no news.
    seen: HashMap<String, i64>,
}

/// What the gateway cannot go on without.
#[derive(Debug, thiserror::Error)]
pub enum CoachError {
    /// A built-in schema.
    #[error("coach: {0}")]
    Schema(#[from] SchemaError),
    /// A schema that samples cannot be read with.
    #[error("coach: {0}")]
    Plan(#[from] PlanError),
    /// A router refused an input.
    #[error("coach: {0}")]
    Router(#[from] Box<telemetry_airpods::Refusal>),
    /// The registry.
    #[error("coach: {0}")]
    Registry(#[from] telemetry_storage::StoreError),
    /// The folder for sounds.
    #[error("coach: {0}")]
    Io(#[from] std::io::Error),
}

impl Coach {
    /// A gateway that puts sounds into `sounds`.
    pub fn new(sounds: &Path, voice: Option<Voice>) -> Result<Self, CoachError> {
        std::fs::create_dir_all(sounds)?;
        Ok(Self {
            reader: Schema::parse(ActivitySample::SCHEMA)?,
            plans: HashMap::new(),
            wearers: BTreeMap::new(),
            cues: Vec::new(),
            more_cues: 0,
            records: Vec::new(),
            voice,
            sounds: sounds.to_owned(),
        })
    }

    /// Takes a batch of any stream; samples are looked at and returned, the rest is not.
    pub fn batch(
        &mut self,
        now: Now,
        registry: &impl Registry<Error = telemetry_storage::StoreError>,
        batch: &Batch,
    ) -> Result<Vec<ActivitySample>, CoachError> {
        let envelope = &batch.envelope;
        let (true, Some(schema)) = (
            envelope.subject.as_str() == ActivitySample::NAME,
            envelope.schema,
        ) else {
            return Ok(Vec::new());
        };
        let (plan, array) = match self.plans.entry(schema) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(slot) => {
                let entry = pollster::block_on(registry.lookup(&envelope.subject, schema))?;
                let Some(entry) = entry.filter(|e| e.quarantine.is_none()) else {
                    return Ok(Vec::new());
                };
                let plan = Plan::compile(&entry.schema, &self.reader)?;
                slot.insert((plan, entry.schema.array_fingerprint()))
            }
        };
        let mut news = Vec::new();
        if let Ok(mut records) = BatchReader::new(&batch.body, *array) {
            // A record that cannot be read is the store's affair: it sets the batch aside.
            while let Ok(Some(sample)) = records.record::<ActivitySample>(plan) {
                news.push(sample);
            }
        }
        let count = self.wearers.len();
        let wearer = self
            .wearers
            .entry(envelope.device)
            .or_insert_with(|| Wearer::new(PODS[count % PODS.len()]));
        let mut alerts = Vec::new();
        for sample in &news {
            wearer.watch(sample, &mut alerts);
        }
        for (topic, urgency, text, earcon, haptic) in alerts {
            let id = self.cues.len() as u64;
            if self.cues.len() == CUES_MAX {
                self.more_cues += 1;
                continue;
            }
            self.cues.push(CueLine {
                at: now.wall(),
                device: envelope.device,
                topic: topic.to_owned(),
                text: text.clone(),
                ending: None,
                sounds: Vec::new(),
                spoken: false,
                haptic,
                urgency,
            });
            wearer.router.handle_input(
                now.instant(),
                Input::Alert(Alert {
                    id: AlertId(id),
                    topic: topic.to_owned(),
                    urgency,
                    text: SpokenText(text),
                    earcon,
                    haptic,
                }),
            )?;
        }
        Ok(news)
    }

    /// Lets time pass: pods are heard, speech ends, alerts expire.
    pub fn turn(&mut self, now: Now) -> Result<(), CoachError> {
        let devices: Vec<DeviceId> = self.wearers.keys().copied().collect();
        for device in devices {
            let Some(wearer) = self.wearers.get_mut(&device) else {
                continue;
            };
            wearer.hear_pods(now)?;
            wearer.router.handle_input(now.instant(), Input::Tick)?;
            let mut outputs = Vec::new();
            while let Some(output) = wearer.router.poll_output() {
                // Speech takes no virtual time: it is said, and the next cue may come.
                if let Output::Cue {
                    alert,
                    cue: Cue::Speak { .. },
                } = &output
                {
                    let done = Input::SpeechDone(*alert);
                    wearer.router.handle_input(now.instant(), done)?;
                }
                outputs.push(output);
            }
            for output in outputs {
                self.carry_out(now, output)?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, now: Now, output: Output) -> Result<(), CoachError> {
        let (alert, ending) = match output {
            Output::Cue { alert, cue } => {
                let Some(line) = self.cues.get_mut(alert.0 as usize) else {
                    return Ok(());
                };
                match cue {
                    Cue::Speak { text, .. } => {
                        let wav = self.sounds.join(format!("cue-{:04}-voice.wav", alert.0));
                        if self.voice.is_some_and(|v| v.speak(&text.0, &wav)) {
                            line.spoken = true;
                            line.sounds.push(wav);
                        }
                    }
                    Cue::Earcon(earcon) => {
                        let wav = self.sounds.join(format!("{earcon:?}.wav").to_lowercase());
                        if !wav.exists() {
                            let file = std::io::BufWriter::new(std::fs::File::create(&wav)?);
                            earcon.write_wav(file).map_err(std::io::Error::other)?;
                        }
                        line.sounds.push(wav);
                    }
                    Cue::Haptic(_) | Cue::TrackerAlert { .. } => {}
                }
                return Ok(());
            }
            Output::Stop(_) => return Ok(()),
            Output::Given { alert, route } => (alert, Ending::Given(route)),
            Output::NotGiven { alert, reason } => (alert, Ending::NotGiven(reason)),
        };
        let Some(line) = self.cues.get_mut(alert.0 as usize) else {
            return Ok(());
        };
        let (routes, reason) = match &ending {
            Ending::Given(route) => (routes(route), None),
            Ending::NotGiven(reason) => (String::new(), Some(format!("{reason:?}"))),
        };
        self.records.push(FeedbackGiven {
            time: now.wall(),
            topic: line.topic.clone(),
            urgency: format!("{:?}", line.urgency).to_lowercase(),
            routes,
            reason,
        });
        line.ending = Some(ending);
        Ok(())
    }

    /// Records of cues that ended since the last call.
    pub fn take_records(&mut self) -> Vec<FeedbackGiven> {
        std::mem::take(&mut self.records)
    }

    /// Every cue so far.
    pub fn cues(&self) -> &[CueLine] {
        &self.cues
    }

    /// Alerts beyond what a report holds.
    pub const fn more_cues(&self) -> u64 {
        self.more_cues
    }
}

/// The ways of a route, as `FeedbackGiven` names them.
pub fn routes(route: &Route) -> String {
    let ways = [
        (route.voice, "speech"),
        (route.earcon, "earcon"),
        (route.haptic, "haptic"),
        (route.tracker, "tracker"),
    ];
    let used: Vec<&str> = ways.iter().filter(|(on, _)| *on).map(|(_, n)| *n).collect();
    used.join(" ")
}

type NewAlert = (&'static str, Urgency, String, Earcon, Haptic);

impl Wearer {
    fn new(pods: &str) -> Self {
        let bytes: Vec<u8> = (0..pods.len() / 2)
            .filter_map(|i| u8::from_str_radix(pods.get(2 * i..2 * i + 2)?, 16).ok())
            .collect();
        Self {
            router: Router::new(Policy::default()),
            pods: proximity::decode(&bytes).ok(),
            heard_at: None,
            goals: 0,
            heart_rate_high: false,
            seen: HashMap::new(),
        }
    }

    fn hear_pods(&mut self, now: Now) -> Result<(), CoachError> {
        let at = now.since_start;
        if self.heard_at.is_some_and(|heard| at < heard + PODS_EVERY) {
            return Ok(());
        }
        let first = self.heard_at.is_none();
        self.heard_at = Some(at);
        let instant = now.instant();
        if first {
            let wall = now.wall();
            let clock = Input::Clock {
                wall,
                offset_seconds: 0,
            };
            self.router.handle_input(instant, clock)?;
        }
        if let Some(frame) = self.pods {
            let rssi = proximity::rssi(-50);
            self.router
                .handle_input(instant, Input::PodsSeen { frame, rssi })?;
        }
        Ok(())
    }

    fn watch(&mut self, sample: &ActivitySample, alerts: &mut Vec<NewAlert>) {
        let last = self.seen.entry(sample.source.clone()).or_insert(0);
        if sample.serial <= *last {
            return;
        }
        *last = sample.serial;
        if let Some(distance) = sample.distance {
            let goals = (distance / GOAL_M) as u64;
            if goals > self.goals {
                self.goals = goals;
                alerts.push((
                    "distance",
                    Urgency::Notice,
                    format!("{} kilometres. Well done.", goals * 5),
                    Earcon::Goal,
                    Haptic::Goal,
                ));
            }
        }
        if let Some(bpm) = sample.heart_rate {
            if bpm > HEART_RATE.0 && !self.heart_rate_high {
                self.heart_rate_high = true;
                alerts.push((
                    "heart rate",
                    Urgency::Warning,
                    "Warning. Your heart rate is high. Ease off.".to_owned(),
                    Earcon::Warning,
                    Haptic::Warning,
                ));
            } else if bpm < HEART_RATE.1 {
                self.heart_rate_high = false;
            }
        }
    }
}
