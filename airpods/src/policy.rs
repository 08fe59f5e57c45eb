//! The wearer's wishes and the router's bounds.

use core::time::Duration;

use crate::alert::Urgency;
use crate::model::Model;

/// Hours of the local day without sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// First minute of the day, 0 to 1439.
    pub from_minute: u16,
    /// First minute after them; before `from_minute` they span midnight.
    pub to_minute: u16,
}

impl QuietHours {
    pub(crate) const fn contains(self, minute: u16) -> bool {
        if self.from_minute <= self.to_minute {
            self.from_minute <= minute && minute < self.to_minute
        } else {
            self.from_minute <= minute || minute < self.to_minute
        }
    }
}

/// How fast tokens come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One token each.
    pub every: Duration,
    /// Tokens that can be saved.
    pub burst: u32,
}

/// What decides between given and not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The wearer's product; frames of others are ignored. Default `None`: any product.
    pub own_model: Option<Model>,
    /// Weaker frames are somebody else's. Default -70 dBm.
    pub rssi_min: i16,
    /// A frame this much apart from the last one, within [`pods_fresh`](Self::pods_fresh), is
    /// somebody else's. Default 25 dB.
    pub rssi_step_max: u16,
    /// What a frame says holds that long. Default 10 s.
    pub pods_fresh: Duration,
    /// Default none.
    pub quiet: Option<QuietHours>,
    /// In quiet hours, critical alerts sound as usual. Default no: touch only.
    pub critical_overrides_quiet: bool,
    /// Default one a minute, two saved.
    pub per_topic: Rate,
    /// For all topics together. Default six a minute, six saved.
    pub global: Rate,
    /// Alerts of a topic within this time after one was told are told together. Default 2 s.
    pub coalesce: Duration,
    /// A preempted alert younger than this begins anew. Default 5 s.
    pub resume_within: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            own_model: None,
            rssi_min: -70,
            rssi_step_max: 25,
            pods_fresh: Duration::from_secs(10),
            quiet: None,
            critical_overrides_quiet: false,
            per_topic: Rate {
                every: Duration::from_secs(60),
                burst: 2,
            },
            global: Rate {
                every: Duration::from_secs(10),
                burst: 6,
            },
            coalesce: Duration::from_secs(2),
            resume_within: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }
}

/// Every bound of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Alerts alive at a time; a graver one displaces the least. Default 64.
    pub alerts_max: usize,
    /// Topics remembered; the one silent for longest goes first. Default 64.
    pub topics_max: usize,
    /// Bytes of a topic. Default 64.
    pub topic_bytes_max: usize,
    /// Bytes of a text. Default 256.
    pub text_bytes_max: usize,
    /// A voice that reports no end is taken to have ended. Default 15 s.
    pub speech_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            alerts_max: 64,
            topics_max: 64,
            topic_bytes_max: 64,
            text_bytes_max: 256,
            speech_max: Duration::from_secs(15),
        }
    }
}

/// How long an alert is of use: info 30 s, notice 1 min, warning 5 min, critical for ever.
pub(crate) const fn time_to_live(urgency: Urgency) -> Option<Duration> {
    match urgency {
        Urgency::Info => Some(Duration::from_secs(30)),
        Urgency::Notice => Some(Duration::from_secs(60)),
        Urgency::Warning => Some(Duration::from_secs(300)),
        Urgency::Critical => None,
    }
}

/// Wait before the n-th repetition of an unacknowledged critical alert.
pub(crate) fn repeat_after(told: u32) -> Duration {
    let waits = [10, 30, 60, 300];
    let n = usize::try_from(told).unwrap_or(usize::MAX);
    Duration::from_secs(waits[n.min(waits.len() - 1)])
}
