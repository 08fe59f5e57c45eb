//! What monitoring reports: events and the declared rules behind them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry_core::Timestamp;

use crate::priority::{Impact, IncidentUrgency};

/// What an event means (ITIL 4, Monitoring and Event Management).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Significance {
    /// Recorded for trends.
    Informational,
    /// Unusual: look before it fails. Never opens an incident by itself.
    Warning,
    /// Out of specification by a declared rule: opens an incident, or joins the open one.
    Exception,
}

/// Whether what the event speaks of is there or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It is there.
    Present,
    /// It is gone: the incident recovers, if nothing returns within the rule's clear time.
    Cleared,
}

/// What an event was made from. The same cause twice is one event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// Identity of the record, e.g. `<device>:<epoch>:<stream>:<seq>`.
    pub record: String,
    /// Which detector saw it.
    pub detector: String,
}

/// A rule by name and version, as incidents record it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// Name of the rule.
    pub id: String,
    /// Its version: raise it with every change of the rule.
    pub version: u32,
}

/// A change of state that matters to a service.
///
/// It carries a score, never the measured value: incidents and logs hold no health data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What it means.
    pub significance: Significance,
    /// There or gone.
    pub condition: Condition,
    /// The service that suffers.
    pub service: String,
    /// The configuration item that shows it: a device, a queue, a store.
    pub ci: String,
    /// What happened, alike for every item: with the service it is the correlation key.
    pub signature: String,
    /// The rule that made it.
    pub rule: RuleRef,
    /// How far outside, without unit; must be finite.
    pub score: f64,
    /// What it was made from.
    pub cause: Cause,
    /// When it began.
    #[serde(with = "crate::wire::timestamp")]
    pub occurred_at: Timestamp,
    /// When it was noticed.
    #[serde(with = "crate::wire::timestamp")]
    pub detected_at: Timestamp,
}

/// A declared rule: the only way from a score to an exception.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Name and version.
    pub rule: RuleRef,
    /// The service it guards.
    pub service: String,
    /// What an exception by it is called.
    pub signature: String,
    /// A score at or above this is a warning.
    pub threshold: f64,
    /// A warning that lasts this long is an exception.
    pub lasts: Duration,
    /// After the condition cleared, an incident resolves by itself when it stays away this long.
    pub clear: Duration,
    /// Impact of an incident opened by this rule.
    pub impact: Impact,
    /// Urgency of an incident opened by this rule.
    pub urgency: IncidentUrgency,
}
