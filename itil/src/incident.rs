//! The incident record, and what people and the machine do to it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};
use telemetry_core::Timestamp;

use crate::event::{Cause, RuleRef};
use crate::fsm::{State, Verb};
use crate::priority::{Impact, IncidentUrgency, Priority};
use crate::sla::Clock;

/// Number of an incident, written `INC0000042`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INC{:07}", self.0)
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person, by the name of their account.
    Person(String),
    /// A declared rule.
    Rule(RuleRef),
    /// The machine, by its own timers.
    Machine,
}

/// Why an incident waits (ServiceNow's four).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldReason {
    /// For an answer of the person affected.
    AwaitingCaller,
    /// For a change, mostly our own.
    AwaitingChange,
    /// For the outcome of a problem.
    AwaitingProblem,
    /// For a supplier.
    AwaitingVendor,
}

/// How an incident ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClosureCode {
    /// The cause is gone.
    Fixed,
    /// Service is back, the cause remains.
    Workaround,
    /// A change removed it.
    FixedByChange {
        /// Number of the change.
        change: String,
    },
    /// Another incident is about the same.
    Duplicate {
        /// The incident that goes on.
        of: IncidentId,
    },
    /// Nothing was wrong that could be found.
    NoFaultFound,
    /// Explained, or trained.
    UserError,
    /// A supplier fixed it.
    ThirdParty,
    /// It went away and stayed away.
    SelfHealed,
    /// It was no incident; set by a cancel only.
    Cancelled,
}

/// What is asked of an incident, with arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Give it to a team, and perhaps to one of its people.
    Assign {
        /// Name of the team that is responsible.
        group: String,
        /// Account of the person.
        person: Option<String>,
    },
    /// Begin work.
    Start,
    /// Wait; the clock pauses only where the SLA allows the reason.
    Hold {
        /// For whom.
        reason: HoldReason,
    },
    /// Go on.
    Resume,
    /// Service is back.
    Resolve {
        /// What became of the cause.
        code: ClosureCode,
        /// What was done, for the next one who meets this.
        text: String,
        /// Whether a change had caused it, `None` if unknown.
        caused_by_change: Option<bool>,
    },
    /// It was not resolved.
    Reopen {
        /// What shows it.
        reason: String,
    },
    /// Confirm the resolution.
    Close,
    /// It was no incident.
    Cancel {
        /// Why it was no incident, in the words of the person.
        reason: String,
    },
}

impl Action {
    /// The verb, for the transition table.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Assign { .. } => Verb::Assign,
            Self::Start => Verb::Start,
            Self::Hold { .. } => Verb::Hold,
            Self::Resume => Verb::Resume,
            Self::Resolve { .. } => Verb::Resolve,
            Self::Reopen { .. } => Verb::Reopen,
            Self::Close => Verb::Close,
            Self::Cancel { .. } => Verb::Cancel,
        }
    }
}

/// Who has an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignee {
    /// Name of the team that is responsible.
    pub group: String,
    /// Account of the person.
    pub person: Option<String>,
}

/// One time of waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// For whom.
    pub reason: HoldReason,
    /// From when.
    #[serde(with = "crate::wire::timestamp")]
    pub from: Timestamp,
    /// Until when, `None` while it lasts.
    #[serde(with = "crate::wire::timestamp_option")]
    pub until: Option<Timestamp>,
    /// Whether the SLA paused the clock for it.
    pub pauses_clock: bool,
}

/// How it was resolved or cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// What became of the cause.
    pub code: ClosureCode,
    /// What was done.
    pub text: String,
    /// Who did it: a person, a rule or the machine itself.
    pub by: Actor,
    /// The time at which it took effect.
    #[serde(with = "crate::wire::timestamp")]
    pub at: Timestamp,
    /// Whether a change had caused the incident, `None` if unknown.
    pub caused_by_change: Option<bool>,
}

/// One change of state: what, who, when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The time at which it took effect.
    #[serde(with = "crate::wire::timestamp")]
    pub at: Timestamp,
    /// Who did it: a person, a rule or the machine itself.
    pub by: Actor,
    /// What was asked, `None` for the opening.
    pub action: Option<Action>,
    /// The state it led to.
    pub to: State,
}

/// An unplanned interruption of a service or a reduction of its quality
/// (ITIL 4, Incident Management; ISO/IEC 20000-1:2018, 8.6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Number of the incident, which it keeps for ever.
    pub id: IncidentId,
    /// 1, and one more with every reopening.
    pub generation: u32,
    /// When the trouble began.
    #[serde(with = "crate::wire::timestamp")]
    pub occurred_at: Timestamp,
    /// When monitoring noticed.
    #[serde(with = "crate::wire::timestamp")]
    pub detected_at: Timestamp,
    /// When this record was made; the clocks start here.
    #[serde(with = "crate::wire::timestamp")]
    pub created_at: Timestamp,
    /// Who reported it.
    pub reporter: Actor,
    /// The service that suffers.
    pub service: String,
    /// What happened, alike for every item it happens to.
    pub signature: String,
    /// The items that showed it.
    pub cis: BTreeSet<String>,
    /// The items that show it still.
    pub present: BTreeSet<String>,
    /// Items beyond the limit, counted only; such an incident never resolves by itself.
    pub cis_more: u64,
    /// How much is affected.
    pub impact: Impact,
    /// How soon it hurts.
    pub urgency: IncidentUrgency,
    /// What follows from both.
    pub priority: Priority,
    /// The version of the matrix that made the priority.
    pub matrix_version: String,
    /// Where it is.
    pub state: State,
    /// Who has it.
    pub assignee: Option<Assignee>,
    /// Time to own.
    pub own: Clock,
    /// Time to resolve.
    pub resolve: Clock,
    /// Times of waiting, newest last, up to the limit.
    pub holds: VecDeque<Hold>,
    /// Hierarchic escalations so far: management was told that often.
    pub escalation: u32,
    /// When it resolves by itself, if nothing returns.
    #[serde(with = "crate::wire::timestamp_option")]
    pub recovers_at: Option<Timestamp>,
    /// Events that belong to it.
    pub events: u64,
    /// The event that opened or last reopened it.
    pub cause: Cause,
    /// The closed incident about the same before this one.
    pub previous: Option<IncidentId>,
    /// How it ended, once it did.
    pub closure: Option<Closure>,
    /// Changes of state, newest last, up to the limit; the log has them all.
    pub history: VecDeque<Step>,
}
