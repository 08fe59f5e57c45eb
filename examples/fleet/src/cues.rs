//! The coaching service as a run has it: pods that are heard, cues as files, lines to look at.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use services::coaching::{AnnouncementWait, BuiltInError, CoachingConfig, CoachingEvent, Ending};
use services::{Absent, Coaching, Driver};
use telemetry_airpods::{AlertId, Cue, Earcon, Haptic, Input, proximity};
use telemetry_core::records::{ActivitySample, FeedbackGiven};
use telemetry_core::{DeviceId, Timestamp};
use telemetry_storage::SqliteStore;
use telemetry_transport::{ConsumeError, Consumer, Directory};

use crate::clock::Now;
use crate::ring::Ring;
use crate::speech::{PATIENCE, Spoken, Voice};

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

/// Virtual time between two acknowledgements: what is heard twice is no news, so its place in the
/// log need not be kept at every step.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(60);

/// Cues kept for report and page.
const CUES_MAX: usize = 1_000;

/// A cue, for report and page.
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
}

/// What the service cannot go on without.
#[derive(Debug, thiserror::Error)]
pub enum CuesError {
    /// A built-in schema.
    #[error("coaching: {0}")]
    BuiltIn(#[from] BuiltInError),
    #[error("coaching: log: {0}")]
    Consume(#[from] ConsumeError),
    /// The folder for sounds.
    #[error("{}: {error}", path.display())]
    Sounds {
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
}

/// A wearer's pods.
struct Pods {
    frame: Option<proximity::Frame>,
    heard_at: Option<Duration>,
}

/// The service, and what it plays through.
pub struct Cues {
    driver: Driver<Coaching, Consumer<Directory>, Absent>,
    pods: BTreeMap<DeviceId, Pods>,
    /// An alert's name is its number here.
    lines: Ring<CueLine>,
    records: Vec<FeedbackGiven>,
    voice: Option<Voice>,
    sounds: PathBuf,
    /// Why the last sound could not be written.
    trouble: Option<String>,
}

impl Cues {
    /// A service that puts sounds into `sounds`.
    pub fn new(
        consumer: Consumer<Directory>,
        sounds: &Path,
        voice: Option<Voice>,
    ) -> Result<Self, CuesError> {
        std::fs::create_dir_all(sounds).map_err(|error| CuesError::Sounds {
            path: sounds.to_owned(),
            error,
        })?;
        let config = CoachingConfig {
            acknowledge_every: ACKNOWLEDGE_EVERY,
            // The storing service registers schemas in the same step, before this one looks.
            announcements: AnnouncementWait::NONE,
            ..CoachingConfig::default()
        };
        Ok(Self {
            driver: Driver::new(Coaching::new(config)?, consumer, Absent),
            pods: BTreeMap::new(),
            lines: Ring::new(CUES_MAX),
            records: Vec::new(),
            voice,
            sounds: sounds.to_owned(),
            trouble: None,
        })
    }

    /// Takes everything that is in the log, and lets time pass: pods are heard, speech ends, alerts
    /// expire. Returns the samples that came.
    pub fn step(
        &mut self,
        now: Now,
        store: &SqliteStore,
    ) -> Result<Vec<(DeviceId, Vec<ActivitySample>)>, CuesError> {
        let mut samples = Vec::new();
        loop {
            let taken = pollster::block_on(self.driver.take_group(now.at(), store));
            let taken = taken.map_err(|stopped| stopped.error)?;
            self.events(now, &mut samples);
            if taken == 0 {
                break;
            }
        }
        self.hear_pods(now);
        loop {
            let done = pollster::block_on(self.driver.carry_out(now.at(), store));
            done.map_err(|stopped| stopped.error)?;
            if self.events(now, &mut samples) == 0 {
                return Ok(samples);
            }
        }
    }

    /// Acknowledges everything that was looked at.
    pub fn close(&mut self, now: Now, store: &SqliteStore) -> Result<(), CuesError> {
        self.driver.machine.acknowledge();
        let done = pollster::block_on(self.driver.carry_out(now.at(), store));
        Ok(done.map_err(|stopped| stopped.error)?)
    }

    fn hear_pods(&mut self, now: Now) {
        let at = now.since_start;
        for (device, pods) in &mut self.pods {
            if pods.heard_at.is_some_and(|heard| at < heard + PODS_EVERY) {
                continue;
            }
            let coaching = &mut self.driver.machine;
            if pods.heard_at.replace(at).is_none() {
                let clock = Input::Clock {
                    wall: now.wall(),
                    offset_seconds: 0,
                };
                coaching.handle_wearer(now.at(), *device, clock);
            }
            if let Some(frame) = pods.frame {
                let rssi = proximity::rssi(-50);
                coaching.handle_wearer(now.at(), *device, Input::PodsSeen { frame, rssi });
            }
        }
    }

    /// Takes what the service has to say; returns how much it was.
    fn events(&mut self, now: Now, samples: &mut Vec<(DeviceId, Vec<ActivitySample>)>) -> usize {
        let mut count = 0;
        while let Some(event) = self.driver.poll_event() {
            count += 1;
            match event {
                CoachingEvent::Heard {
                    device,
                    samples: new,
                } => {
                    let wearers = self.pods.len();
                    self.pods.entry(device).or_insert_with(|| Pods {
                        frame: captured(PODS[wearers % PODS.len()]),
                        heard_at: None,
                    });
                    samples.push((device, new));
                }
                CoachingEvent::Raised { device, alert } => {
                    let dropped = self.lines.push(CueLine {
                        at: now.wall(),
                        device,
                        topic: alert.topic,
                        text: alert.text.0,
                        ending: None,
                        sounds: Vec::new(),
                        spoken: false,
                        haptic: alert.haptic,
                    });
                    if let Some(dropped) = dropped {
                        self.forget_sounds(&dropped);
                    }
                }
                CoachingEvent::Cue { device, alert, cue } => self.play(now, device, alert, cue),
                // What is said takes no virtual time: it is over, and nobody waits for an answer.
                CoachingEvent::Stop { .. } => {}
                CoachingEvent::Ended {
                    alert,
                    ending,
                    record,
                    ..
                } => {
                    self.records.push(record);
                    if let Some(line) = self.lines.get_mut(alert.0) {
                        line.ending = Some(ending);
                    }
                }
                // It is asked again, and what waits stays in the log.
                CoachingEvent::Waiting { .. } => {}
            }
        }
        count
    }

    /// Whether the voice has spoken a text. One that does not answer is not asked again.
    fn spoken(&mut self, text: &str, wav: &Path) -> bool {
        let Some(voice) = self.voice else {
            return false;
        };
        let spoken = voice.speak(text, wav);
        if spoken == Spoken::Late {
            self.voice = None;
            let seconds = PATIENCE.as_secs();
            let sentence = format!(
                "The voice, espeak-ng, did not end within {seconds} s: the words are shown and not spoken."
            );
            self.trouble = Some(sentence);
        }
        spoken == Spoken::Whole
    }

    /// Plays a cue by writing its sound. A sound that cannot be written is told and ends nothing: the
    /// alert was given to the wearer's earphones all the same.
    fn play(&mut self, now: Now, device: DeviceId, alert: AlertId, cue: Cue) {
        let wav = match &cue {
            Cue::Speak { text, .. } => {
                let wav = self.voice_file(&text.0);
                // It is said at once. If something graver has stopped it, the answer is dropped.
                let done = Input::SpeechDone(alert);
                self.driver.machine.handle_wearer(now.at(), device, done);
                if !wav.exists() && !self.spoken(&text.0, &wav) {
                    return;
                }
                wav
            }
            Cue::Earcon(earcon) => {
                let wav = self.sounds.join(format!("{}.wav", earcon.as_str()));
                if !wav.exists()
                    && let Err(error) = write_sound(*earcon, &wav)
                {
                    // Half a sound is none.
                    let _ = std::fs::remove_file(&wav);
                    let wav = wav.display();
                    let sentence = format!("A sound could not be written: {wav}: {error}.");
                    self.trouble = Some(sentence);
                    return;
                }
                wav
            }
            Cue::Haptic(_) | Cue::TrackerAlert { .. } => return,
        };
        if let Some(line) = self.lines.get_mut(alert.0) {
            line.spoken |= matches!(cue, Cue::Speak { .. });
            // What was stopped begins anew.
            if !line.sounds.contains(&wav) {
                line.sounds.push(wav);
            }
        }
        self.trouble = None;
    }

    /// Why the last sound could not be written, in a sentence.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// The sound of a text, one for all alerts that say the same.
    fn voice_file(&self, text: &str) -> PathBuf {
        self.sounds.join(format!("{}.wav", slug(text)))
    }

    /// The folder keeps what report and page can show.
    fn forget_sounds(&self, dropped: &CueLine) {
        for sound in &dropped.sounds {
            if !self.lines.iter().any(|line| line.sounds.contains(sound)) {
                // A file that cannot be removed takes room and does no other harm.
                let _ = std::fs::remove_file(sound);
            }
        }
    }

    /// Records of cues that ended since the last call.
    pub fn take_records(&mut self) -> Vec<FeedbackGiven> {
        std::mem::take(&mut self.records)
    }

    /// The newest cues.
    pub const fn lines(&self) -> &Ring<CueLine> {
        &self.lines
    }
}

fn write_sound(earcon: Earcon, wav: &Path) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(wav)?);
    earcon.write_wav(&mut file).map_err(std::io::Error::other)?;
    file.flush()
}

/// The words of a text as the name of a file. Texts that differ in their punctuation alone sound
/// the same and share one.
fn slug(text: &str) -> String {
    const LEN_MAX: usize = 64;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let mut slug = words.join("-");
    slug.truncate(LEN_MAX);
    slug
}

fn captured(hex: &str) -> Option<proximity::Frame> {
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok())
        .collect();
    proximity::decode(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_sound_is_named_by_its_words() {
        assert_eq!(slug("5 kilometres. Well done."), "5-kilometres-well-done");
        assert_eq!(slug(&"long ".repeat(100)).len(), 64);
    }
}
