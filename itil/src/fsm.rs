//! The life of an incident as one table.
//!
//! States after ServiceNow, clocks after iTop. ITIL 4 prescribes no state machine; escalation is
//! deliberately no state, or pause and escalation would multiply.

use serde::{Deserialize, Serialize};

/// Where an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Recorded, nobody has it.
    New,
    /// A team has it.
    Assigned,
    /// Somebody works on it.
    InProgress,
    /// Waiting for someone outside the team.
    Pending,
    /// Service is back; may be reopened.
    Resolved,
    /// Confirmed, or unopposed for long enough. Terminal.
    Closed,
    /// Was no incident. Terminal.
    Cancelled,
}

impl State {
    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Assigned => "assigned",
            Self::InProgress => "being worked on",
            Self::Pending => "on hold",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Service may still be impaired.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::New | Self::Assigned | Self::InProgress | Self::Pending
        )
    }

    /// Nothing leads out of it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Closed | Self::Cancelled)
    }
}

/// The verb of a command, without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Give it to a team.
    Assign,
    /// Begin work.
    Start,
    /// Wait for someone.
    Hold,
    /// Go on after a hold.
    Resume,
    /// Service is back.
    Resolve,
    /// It was not.
    Reopen,
    /// Done.
    Close,
    /// It was no incident.
    Cancel,
}

/// What else must hold for a row of [`TRANSITIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    None,
    /// The machine itself acts, not a person.
    Automatic,
    /// The incident has an assignee.
    Owned,
    /// It has none.
    Unowned,
}

/// One allowed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// State before.
    pub from: State,
    /// What is asked.
    pub verb: Verb,
    /// What else must hold.
    pub guard: Guard,
    /// State after.
    pub to: State,
}

const fn row(from: State, verb: Verb, guard: Guard, to: State) -> Transition {
    Transition {
        from,
        verb,
        guard,
        to,
    }
}

/// Every allowed step; what is not here is refused.
pub const TRANSITIONS: &[Transition] = {
    use Guard::{Automatic, None, Owned, Unowned};
    use State::{Assigned, Cancelled, Closed, InProgress, New, Pending, Resolved};
    use Verb::{Assign, Cancel, Close, Hold, Reopen, Resolve, Resume, Start};
    &[
        row(New, Assign, None, Assigned),
        row(New, Resolve, Automatic, Resolved),
        row(New, Cancel, None, Cancelled),
        row(Assigned, Assign, None, Assigned),
        row(Assigned, Start, None, InProgress),
        row(Assigned, Resolve, None, Resolved),
        row(Assigned, Cancel, None, Cancelled),
        row(InProgress, Assign, None, Assigned),
        row(InProgress, Hold, None, Pending),
        row(InProgress, Resolve, None, Resolved),
        row(Pending, Resume, None, InProgress),
        row(Pending, Resolve, None, Resolved),
        row(Resolved, Reopen, Owned, Assigned),
        row(Resolved, Reopen, Unowned, New),
        row(Resolved, Close, None, Closed),
    ]
};

/// The state after `verb`, `None` if the table has no such row.
pub fn next(from: State, verb: Verb, automatic: bool, owned: bool) -> Option<State> {
    TRANSITIONS
        .iter()
        .find(|t| {
            t.from == from
                && t.verb == verb
                && match t.guard {
                    Guard::None => true,
                    Guard::Automatic => automatic,
                    Guard::Owned => owned,
                    Guard::Unowned => !owned,
                }
        })
        .map(|t| t.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_have_no_way_out_and_every_state_is_reachable() {
        assert!(TRANSITIONS.iter().all(|t| !t.from.is_terminal()));
        for state in [
            State::Assigned,
            State::InProgress,
            State::Pending,
            State::Resolved,
            State::Closed,
            State::Cancelled,
        ] {
            assert!(TRANSITIONS.iter().any(|t| t.to == state), "{state:?}");
        }
    }

    #[test]
    fn a_person_cannot_resolve_what_nobody_owns() {
        assert_eq!(next(State::New, Verb::Resolve, false, false), None);
        assert_eq!(
            next(State::New, Verb::Resolve, true, false),
            Some(State::Resolved)
        );
    }

    #[test]
    fn rows_never_contradict() {
        for (i, a) in TRANSITIONS.iter().enumerate() {
            for b in &TRANSITIONS[i + 1..] {
                let apart = matches!(
                    (a.guard, b.guard),
                    (Guard::Owned, Guard::Unowned) | (Guard::Unowned, Guard::Owned)
                );
                assert!(a.from != b.from || a.verb != b.verb || apart);
            }
        }
    }
}
