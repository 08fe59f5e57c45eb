//! What the log says: one fact per entry, as one line of JSON.

use serde::{Deserialize, Serialize};
use telemetry_core::Timestamp;

use crate::event::{Event, RuleRef};
use crate::fsm::State;
use crate::incident::{Action, Actor, IncidentId};
use crate::priority::{Impact, IncidentUrgency, Priority, Target};
use crate::sla::{Calendar, ClockKind, Threshold};

/// Version of the entry format. A reader refuses a higher one.
pub const ENTRY_VERSION: u32 = 1;

/// Something that happened, complete: replay needs no other source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`ENTRY_VERSION`] of the writer.
    pub v: u32,
    /// When it took effect. A timer takes effect when it was due, however late it was noticed.
    #[serde(with = "crate::wire::timestamp")]
    pub at: Timestamp,
    /// When it was written.
    #[serde(with = "crate::wire::timestamp")]
    pub recorded_at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// The kinds of fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
#[non_exhaustive]
pub enum Fact {
    /// Another writer leads from here on.
    TookOver {
        /// The writer, 32 hex digits.
        writer: String,
    },
    /// An incident was opened.
    Opened {
        /// The incident that the entry is about.
        incident: IncidentId,
        /// The rule that opened it.
        rule: RuleRef,
        /// The service that suffers.
        service: String,
        /// What happened.
        signature: String,
        /// Where it began, and from what.
        cause: crate::event::Cause,
        /// When the trouble began.
        #[serde(with = "crate::wire::timestamp")]
        occurred_at: Timestamp,
        /// When it was noticed.
        #[serde(with = "crate::wire::timestamp")]
        detected_at: Timestamp,
        /// How much is affected.
        impact: Impact,
        /// How soon it hurts.
        urgency: IncidentUrgency,
        /// What follows.
        priority: Priority,
        /// By which matrix.
        matrix_version: String,
        /// Times allowed.
        target: Target,
        /// When they count.
        calendar: Calendar,
        /// The incident about the same before this one.
        previous: Option<IncidentId>,
    },
    /// An event was taken.
    Event {
        /// The event as monitoring reported it.
        event: Event,
        /// The incident it belongs to.
        incident: Option<IncidentId>,
        /// If this event ends the condition: when the incident resolves by itself.
        #[serde(with = "crate::wire::timestamp_option")]
        recovers_at: Option<Timestamp>,
    },
    /// An incident changed its state.
    Moved {
        /// The incident that the entry is about.
        incident: IncidentId,
        /// Who asked for it: a person, a rule or the machine itself.
        by: Actor,
        /// What was asked.
        action: Action,
        /// The state it led to.
        to: State,
        /// For a hold: whether the SLA pauses the clock.
        pauses_clock: bool,
    },
    /// A clock passed a threshold.
    Threshold {
        /// Of which incident.
        incident: IncidentId,
        /// Which clock.
        clock: ClockKind,
        /// Which threshold.
        threshold: Threshold,
    },
    /// Management was told (hierarchic escalation).
    Escalated {
        /// Which incident.
        incident: IncidentId,
        /// 1 for the first time.
        level: u32,
        /// The clock that was missed.
        clock: ClockKind,
    },
    /// An effect ended.
    EffectEnded {
        /// The effect that ended.
        effect: EffectId,
        /// Whether it was delivered or given up.
        outcome: EffectOutcome,
    },
}

/// Names an effect by the entry that decided it: the same after every replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    /// Group of the entry.
    pub seq: u64,
    /// Place of the entry in its group.
    pub index: u32,
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectOutcome {
    /// The receiver accepted it.
    Delivered,
    /// It was given up.
    Failed {
        /// Why, without secrets.
        reason: String,
    },
}

/// What to tell whom. The text is the adapter's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Notice {
    /// A new incident.
    Opened,
    /// It is back.
    Reopened,
    /// One more item shows an open P1 or P2.
    Joined {
        /// The configuration item that shows the condition, too.
        ci: String,
    },
    /// Three quarters of a target are used.
    SlaWarning {
        /// The clock whose target it is.
        clock: ClockKind,
    },
    /// A target is missed.
    SlaBreach {
        /// The clock whose target it is.
        clock: ClockKind,
    },
    /// To management.
    Escalated {
        /// 1 for the first time.
        level: u32,
    },
    /// Service is back.
    Resolved,
    /// It was no incident.
    Cancelled,
}

impl Notice {
    /// The word for it, as it is in the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Joined { .. } => "joined",
            Self::SlaWarning { .. } => "sla-warning",
            Self::SlaBreach { .. } => "sla-breach",
            Self::Escalated { .. } => "escalated",
            Self::Resolved => "resolved",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Something to do outside, started only after its entry is won.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Name it in [`Input::EffectEnded`](crate::Input::EffectEnded).
    pub id: EffectId,
    /// About which incident.
    pub incident: IncidentId,
    /// About which life of it.
    pub generation: u32,
    /// How grave.
    pub priority: Priority,
    /// The service that suffers.
    pub service: String,
    /// What happened there.
    pub signature: String,
    /// What to tell.
    pub notice: Notice,
}

impl Effect {
    /// Names the life of the incident, `<incident>-<generation>`: the same for all its effects, so that
    /// a receiver can keep one page for them. A single effect is named by [`id`](Self::id).
    pub fn dedup_key(&self) -> String {
        format!("{}-{}", self.incident, self.generation)
    }
}
