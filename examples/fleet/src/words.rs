//! What the layers say in words of their own, in sentences for people.

use services::coaching::Ending;
use services::ingest::PutBack;
use telemetry_airpods::{Haptic, Reason, Route};
use telemetry_core::Quarantine;
use telemetry_itil::{Actor, ClockKind, ClosureCode, Effect, Notice, State, Step};

/// How an alert ended.
pub fn ending(ending: Ending) -> String {
    match ending {
        Ending::Given(route) => given(route),
        Ending::NotGiven(reason) => format!("not given: {}", not_given(reason)),
        Ending::Overload => "not given: too many alerts were waiting".to_owned(),
    }
}

fn given(route: Route) -> String {
    let ways = [
        (route.voice, "speech"),
        (route.earcon, "a sound"),
        (route.haptic, "touch"),
        (route.tracker, "the tracker’s own alert"),
    ];
    let ways = ways
        .into_iter()
        .filter_map(|(used, way)| used.then_some(way));
    format!("given by {}", enumeration(ways))
}

fn not_given(reason: Reason) -> String {
    match reason {
        Reason::QuietHours => "it was in the wearer’s quiet hours",
        Reason::RateLimited => "there were too many alerts in a short time",
        Reason::Coalesced { count, .. } => {
            return format!("it was told as one of {count} alerts");
        }
        Reason::PodsNotWorn => {
            "nobody wore the earphones, and it was not urgent enough for another way"
        }
        Reason::InCall => "the wearer was in a call",
        Reason::Expired => "it had waited until it was of no more use",
        Reason::Preempted => "something more urgent was said in its place",
        Reason::Displaced => "something more urgent took its place in the queue",
        Reason::Acknowledged => "the wearer had acknowledged it before",
        Reason::NoModality => "no device that could give it was within reach",
        _ => reason.as_str(),
    }
    .to_owned()
}

/// What a haptic pattern is for.
pub const fn haptic(haptic: Haptic) -> &'static str {
    match haptic {
        Haptic::Goal => "a goal is reached",
        Haptic::Warning => "a warning",
        Haptic::Critical => "something critical",
        Haptic::Notice => "a notice",
        Haptic::Heartbeat { .. } => "a heart rate",
    }
}

/// A step in the life of an incident.
pub fn step(step: &Step) -> String {
    let what = match step.to {
        State::New => "Opened",
        State::Assigned => "Given to a team",
        State::InProgress => "Work began",
        State::Pending => "Put on hold",
        State::Resolved => "Resolved",
        State::Closed => "Closed",
        State::Cancelled => "Cancelled",
    };
    match &step.by {
        Actor::Person(name) => format!("{what} by {name}"),
        Actor::Rule(rule) => format!("{what} by version {} of the rule {}", rule.version, rule.id),
        Actor::Machine => format!("{what} by its timer"),
    }
}

/// Why an incident is closed.
pub fn closure(code: &ClosureCode) -> String {
    match code {
        ClosureCode::Fixed => "The cause is removed.".to_owned(),
        ClosureCode::Workaround => "A workaround helps; the cause remains.".to_owned(),
        ClosureCode::FixedByChange { change } => format!("Change {change} removed the cause."),
        ClosureCode::Duplicate { of } => format!("It is the same as {of}."),
        ClosureCode::NoFaultFound => "No fault could be found.".to_owned(),
        ClosureCode::UserError => "It was explained to the user.".to_owned(),
        ClosureCode::ThirdParty => "A supplier removed the cause.".to_owned(),
        ClosureCode::SelfHealed => "It went away by itself and did not come back.".to_owned(),
        ClosureCode::Cancelled => "It was no incident.".to_owned(),
        _ => "For a reason that this program does not know.".to_owned(),
    }
}

/// What is promised about an incident.
pub const fn clock(kind: ClockKind) -> &'static str {
    match kind {
        ClockKind::Own => "time to respond",
        ClockKind::Resolve => "time to resolve",
    }
}

/// What people are told of an incident.
pub fn notice(effect: &Effect) -> String {
    let (incident, priority) = (&effect.incident, effect.priority.as_str());
    let what = match &effect.notice {
        Notice::Opened => "was opened".to_owned(),
        Notice::Reopened => "is back".to_owned(),
        Notice::Joined { ci } => format!("also concerns {ci}"),
        Notice::SlaWarning { clock: kind } => {
            format!("has used three quarters of its {}", clock(*kind))
        }
        Notice::SlaBreach { clock: kind } => format!("has missed its {}", clock(*kind)),
        Notice::Escalated { level } => format!("was escalated to management, level {level}"),
        Notice::Resolved => "was resolved".to_owned(),
        Notice::Cancelled => "was cancelled: it was no incident".to_owned(),
        other => other.as_str().to_owned(),
    };
    format!(
        "{incident}, priority {priority}, {what}: {}",
        effect.signature
    )
}

/// Why a batch waits, and what is done about it.
pub fn put_back(cause: &PutBack) -> String {
    match cause {
        PutBack::Unknown(error) => {
            format!("The store takes nothing: {error}. What is in the log is offered again.")
        }
        PutBack::Announcement => "A batch waits for the announcement of its schema.".to_owned(),
        PutBack::NotSetAside(_) => {
            "A batch was refused, and there is no room to set it aside: it is tried again."
                .to_owned()
        }
    }
}

/// Why a schema was not accepted.
pub fn quarantine(reason: &Quarantine) -> String {
    match reason {
        Quarantine::Incompatible { version, .. } => {
            format!("it and version {version} of its stream cannot be read as each other")
        }
        Quarantine::OtherMeaning { version } => {
            format!("it has the fingerprint of version {version}, but means something else")
        }
        Quarantine::Unsupported { reason } => reason.clone(),
    }
}

/// The verdict on a run of which nothing is missing; so many records are set aside, and so many things
/// are wrong with its files.
pub fn whole(set_aside: u64, file_faults: usize) -> String {
    let mut verdict = "Nothing is lost, and nothing is stored twice.".to_owned();
    match set_aside {
        0 => {}
        1 => verdict += " 1 record is set aside, with its reason.",
        n => verdict += &format!(" {n} records are set aside, each with its reason."),
    }
    match file_faults {
        0 => {}
        1 => verdict += " But something is wrong with a file.",
        n => verdict += &format!(" But {n} things are wrong with the files."),
    }
    verdict
}

/// Some ways, as people say them: "a", "a and b", "a, b and c".
fn enumeration(parts: impl Iterator<Item = &'static str>) -> String {
    let parts: Vec<&str> = parts.collect();
    match parts.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_listed_as_people_say_them() {
        let route = |voice, earcon, haptic| Route {
            voice,
            earcon,
            haptic,
            tracker: false,
        };
        let given = |route| ending(Ending::Given(route));
        assert_eq!(given(route(true, false, false)), "given by speech");
        assert_eq!(
            given(route(true, true, false)),
            "given by speech and a sound"
        );
        assert_eq!(
            given(route(true, true, true)),
            "given by speech, a sound and touch"
        );
        assert_eq!(
            ending(Ending::NotGiven(Reason::NoModality)),
            "not given: no device that could give it was within reach"
        );
    }
}
