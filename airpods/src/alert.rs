//! What goes into the router and what comes out.

use alloc::string::String;
use core::fmt;

use telemetry_core::Timestamp;

use crate::earcon::Earcon;
use crate::haptic::Haptic;
use crate::proximity::Frame;

/// Names an alert; the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub u64);

/// How soon the wearer must hear of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Nice to know.
    Info,
    /// Worth knowing soon.
    Notice,
    /// Act soon.
    Warning,
    /// Act now: repeated until acknowledged.
    Critical,
}

impl Urgency {
    /// The word for it, as records have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Words for the wearer's ears only: `Debug` prints their length.
#[derive(Clone, PartialEq, Eq)]
pub struct SpokenText(pub String);

impl fmt::Debug for SpokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpokenText({} bytes)", self.0.len())
    }
}

/// Something the wearer should learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Names the alert in every output about it; the caller keeps ids unique.
    pub id: AlertId,
    /// What it is about; alerts of one topic share a rate and are told together.
    pub topic: String,
    /// How much it matters.
    pub urgency: Urgency,
    /// What to say: one idea, a dozen words at most.
    pub text: SpokenText,
    /// The sound that stands for it.
    pub earcon: Earcon,
    /// How it feels where something can vibrate.
    pub haptic: Haptic,
}

/// What the router is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Someone has something to say.
    Alert(Alert),
    /// A frame was received.
    PodsSeen {
        /// What was decoded from the advertisement.
        frame: Frame,
        /// Its strength in dBm, see [`rssi`](crate::proximity::rssi).
        rssi: Option<i16>,
    },
    /// What else can be reached.
    Devices {
        /// A phone or watch that plays haptics.
        haptic: bool,
        /// A tracker that takes Immediate Alert (0x1802).
        tracker: bool,
    },
    /// The wearer is in a call, or it rings.
    CallState {
        /// True while it lasts.
        in_call: bool,
    },
    /// The voice has finished with an alert.
    SpeechDone(AlertId),
    /// The wearer acknowledged an alert.
    Ack(AlertId),
    /// Wall time or time zone changed; give it once at the start, too.
    Clock {
        /// Wall time now, UTC.
        wall: Timestamp,
        /// Seconds east of UTC.
        offset_seconds: i32,
    },
    /// Time passed.
    Tick,
}

/// What the router wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Play this.
    Cue {
        /// For which alert.
        alert: AlertId,
        /// What is to be played, shown or felt now.
        cue: Cue,
    },
    /// Stop speaking of this alert: something graver comes.
    Stop(AlertId),
    /// The alert reached the wearer. Comes once an alert, or [`Output::NotGiven`] does.
    Given {
        /// Id of the alert.
        alert: AlertId,
        /// The ways in which it was given.
        route: Route,
    },
    /// The alert did not reach the wearer.
    NotGiven {
        /// Id of the alert.
        alert: AlertId,
        /// Why it was not given.
        reason: Reason,
    },
}

/// One thing to play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Say it, after the earcon; answer with [`Input::SpeechDone`].
    Speak {
        /// What to say.
        text: SpokenText,
        /// How much it matters, for voice and language.
        urgency: Urgency,
        /// How many alerts it stands for.
        count: u32,
    },
    /// Play a sound.
    Earcon(Earcon),
    /// Play a pattern on phone or watch.
    Haptic(Haptic),
    /// Write this level to the tracker's Alert Level (0x2A06).
    TrackerAlert {
        /// How strong.
        level: AlertLevel,
    },
}

/// Level of an Immediate Alert (Bluetooth IAS, 0x2A06).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AlertLevel {
    /// A mild alert.
    Mild = 1,
    /// A strong one.
    High = 2,
}

/// The ways an alert took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Words.
    pub voice: bool,
    /// A sound.
    pub earcon: bool,
    /// Touch by phone or watch.
    pub haptic: bool,
    /// The tracker's own alert.
    pub tracker: bool,
}

/// Why an alert was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The wearer's quiet hours.
    QuietHours,
    /// Too many of its topic, or altogether.
    RateLimited,
    /// Told as one of several.
    Coalesced {
        /// The alert that stands for them.
        into: AlertId,
        /// How many it stands for.
        count: u32,
    },
    /// Nobody wears the pods, and it does not matter enough for another way.
    PodsNotWorn,
    /// The wearer was in a call.
    InCall,
    /// It waited for longer than it is of use.
    Expired,
    /// Something graver took the voice, and it is too old to begin anew.
    Preempted,
    /// Something graver took its place in a full queue.
    Displaced,
    /// The wearer acknowledged it before it could be given.
    Acknowledged,
    /// No device that could carry it is within reach.
    NoModality,
}

impl Reason {
    /// The word for it, as records have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QuietHours => "quiet-hours",
            Self::RateLimited => "rate-limited",
            Self::Coalesced { .. } => "coalesced",
            Self::PodsNotWorn => "pods-not-worn",
            Self::InCall => "in-call",
            Self::Expired => "expired",
            Self::Preempted => "preempted",
            Self::Displaced => "displaced",
            Self::Acknowledged => "acknowledged",
            Self::NoModality => "no-modality",
        }
    }
}

impl Route {
    /// The words for its ways, as records have them.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        [
            (self.voice, "speech"),
            (self.earcon, "earcon"),
            (self.haptic, "haptic"),
            (self.tracker, "tracker"),
        ]
        .into_iter()
        .filter_map(|(used, word)| used.then_some(word))
    }
}
