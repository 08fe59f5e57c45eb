//! The state: what all entries of the log together say, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;
use telemetry_core::Timestamp;

use crate::config::Config;
use crate::entry::{Effect, EffectId, Entry, Fact, Notice};
use crate::event::{Cause, Condition, Event, Significance};
use crate::fsm::State;
use crate::incident::{
    Action, Actor, Assignee, Closure, ClosureCode, Hold, Incident, IncidentId, Step,
};
use crate::priority::Priority;
use crate::sla::{Clock, ClockKind, Threshold};

/// An entry that does not fit the entries before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misfit;

/// What a timer of an incident is for, in the order in which equal times fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The condition stayed away: resolve.
    Recover,
    /// A clock passes a threshold.
    Clock(ClockKind, Threshold),
    /// Nobody opposed the resolution: close.
    Close,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct MachineState {
    pub(crate) incidents: BTreeMap<IncidentId, Incident>,
    last_id: u64,
    /// Causes in order of arrival, for forgetting the oldest.
    causes: VecDeque<Cause>,
    /// Terminal incidents in order of ending, for forgetting the oldest.
    terminal: VecDeque<IncidentId>,
    #[serde(serialize_with = "values")]
    pub(crate) outbox: BTreeMap<EffectId, Effect>,
    // Indexes over the above.
    #[serde(skip)]
    cause_set: BTreeSet<Cause>,
    #[serde(skip)]
    latest: BTreeMap<(String, String), IncidentId>,
    #[serde(skip)]
    timers: BTreeSet<(Timestamp, IncidentId, Timer)>,
    /// The same by incident, so that setting them anew touches only its own.
    #[serde(skip)]
    timers_of: BTreeMap<IncidentId, Vec<(Timestamp, Timer)>>,
}

fn values<S: serde::Serializer>(
    map: &BTreeMap<EffectId, Effect>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map.values())
}

impl MachineState {
    pub(crate) fn knows(&self, cause: &Cause) -> bool {
        self.cause_set.contains(cause)
    }

    pub(crate) fn next_id(&self) -> IncidentId {
        IncidentId(self.last_id + 1)
    }

    /// Incidents that are not terminal.
    pub(crate) fn active(&self) -> usize {
        self.incidents.len() - self.terminal.len()
    }

    pub(crate) fn latest(&self, service: &str, signature: &str) -> Option<&Incident> {
        let id = self.latest.get(&(service.into(), signature.into()))?;
        self.incidents.get(id)
    }

    pub(crate) fn next_timer(&self) -> Option<(Timestamp, IncidentId, Timer)> {
        self.timers.first().copied()
    }

    /// Takes one entry, the `id.index`-th of group `id.seq`.
    pub(crate) fn apply(
        &mut self,
        config: &Config,
        id: EffectId,
        entry: &Entry,
    ) -> Result<(), Misfit> {
        let at = entry.at;
        match &entry.fact {
            Fact::TookOver { .. } => Ok(()),
            Fact::EffectEnded { effect, .. } => {
                self.outbox.remove(effect).map(|_| ()).ok_or(Misfit)
            }
            Fact::Opened { incident, .. } => self.opened(config, id, *incident, entry),
            Fact::Event {
                event,
                incident,
                recovers_at,
            } => {
                self.remember(config, &event.cause);
                let Some(incident) = *incident else {
                    return Ok(());
                };
                let record = self.incidents.get_mut(&incident).ok_or(Misfit)?;
                let joined = attach(record, event, config.limits.cis_max);
                record.recovers_at = *recovers_at;
                let grave = record.priority <= Priority::P2;
                self.set_timers(config, incident);
                if joined && grave && event.significance == Significance::Exception {
                    let ci = event.ci.clone();
                    self.tell(id, incident, Notice::Joined { ci });
                }
                Ok(())
            }
            Fact::Moved {
                incident,
                by,
                action,
                to,
                pauses_clock,
            } => {
                let record = self.incidents.get_mut(incident).ok_or(Misfit)?;
                step(record, at, by, action, *to, *pauses_clock);
                self.moved(config, id, *incident, action, *to)
            }
            Fact::Threshold {
                incident,
                clock,
                threshold,
            } => {
                let record = self.incidents.get_mut(incident).ok_or(Misfit)?;
                match clock {
                    ClockKind::Own => record.own.reach(*threshold),
                    ClockKind::Resolve => record.resolve.reach(*threshold),
                }
                self.set_timers(config, *incident);
                let clock = *clock;
                let notice = match threshold {
                    Threshold::Warn => Notice::SlaWarning { clock },
                    Threshold::Breach => Notice::SlaBreach { clock },
                };
                self.tell(id, *incident, notice);
                Ok(())
            }
            Fact::Escalated {
                incident, level, ..
            } => {
                let record = self.incidents.get_mut(incident).ok_or(Misfit)?;
                record.escalation = *level;
                self.tell(id, *incident, Notice::Escalated { level: *level });
                Ok(())
            }
        }
    }

    fn opened(
        &mut self,
        config: &Config,
        id: EffectId,
        incident: IncidentId,
        entry: &Entry,
    ) -> Result<(), Misfit> {
        if incident != self.next_id() {
            return Err(Misfit);
        }
        let opened = open(entry.at, &entry.fact).ok_or(Misfit)?;
        self.last_id = incident.0;
        let key = (opened.service.clone(), opened.signature.clone());
        self.latest.insert(key, incident);
        self.incidents.insert(incident, opened);
        self.set_timers(config, incident);
        self.tell(id, incident, Notice::Opened);
        Ok(())
    }

    /// What follows from a step that an incident has taken.
    fn moved(
        &mut self,
        config: &Config,
        id: EffectId,
        incident: IncidentId,
        action: &Action,
        to: State,
    ) -> Result<(), Misfit> {
        let record = self.incidents.get_mut(&incident).ok_or(Misfit)?;
        while record.history.len() > config.limits.history_max {
            record.history.pop_front();
        }
        while record.holds.len() > config.limits.history_max {
            record.holds.pop_front();
        }
        self.set_timers(config, incident);
        match action {
            Action::Resolve { .. } => self.tell(id, incident, Notice::Resolved),
            Action::Reopen { .. } => self.tell(id, incident, Notice::Reopened),
            Action::Cancel { .. } => self.tell(id, incident, Notice::Cancelled),
            _ => {}
        }
        if to.is_terminal() {
            self.retire(config, incident);
        }
        Ok(())
    }

    fn remember(&mut self, config: &Config, cause: &Cause) {
        if self.cause_set.insert(cause.clone()) {
            self.causes.push_back(cause.clone());
        }
        while self.causes.len() > config.limits.causes_max {
            if let Some(oldest) = self.causes.pop_front() {
                self.cause_set.remove(&oldest);
            }
        }
    }

    /// Puts the effect of the entry `id` into the outbox.
    fn tell(&mut self, id: EffectId, incident: IncidentId, notice: Notice) {
        let Some(record) = self.incidents.get(&incident) else {
            return;
        };
        let effect = Effect {
            id,
            incident,
            generation: record.generation,
            priority: record.priority,
            service: record.service.clone(),
            signature: record.signature.clone(),
            notice,
        };
        self.outbox.insert(id, effect);
    }

    fn set_timers(&mut self, config: &Config, id: IncidentId) {
        for (at, timer) in self.timers_of.remove(&id).unwrap_or_default() {
            self.timers.remove(&(at, id, timer));
        }
        let Some(record) = self.incidents.get(&id) else {
            return;
        };
        let mut timers = Vec::new();
        if let (true, Some(at)) = (record.state.is_open(), record.recovers_at) {
            timers.push((at, Timer::Recover));
        }
        for clock in [&record.own, &record.resolve] {
            if let Some((at, threshold)) = clock.next_threshold() {
                timers.push((at, Timer::Clock(clock.kind(), threshold)));
            }
        }
        if let (State::Resolved, Some(closure)) = (record.state, &record.closure) {
            timers.push((closure.at + config.close_after, Timer::Close));
        }
        self.timers
            .extend(timers.iter().map(|&(at, timer)| (at, id, timer)));
        if !timers.is_empty() {
            self.timers_of.insert(id, timers);
        }
    }

    fn retire(&mut self, config: &Config, id: IncidentId) {
        self.terminal.push_back(id);
        while self.terminal.len() > config.limits.closed_max {
            let Some(oldest) = self.terminal.pop_front() else {
                return;
            };
            if let Some(record) = self.incidents.remove(&oldest) {
                let key = (record.service, record.signature);
                if self.latest.get(&key) == Some(&oldest) {
                    self.latest.remove(&key);
                }
            }
        }
    }
}

/// The record that an `Opened` fact makes.
fn open(at: Timestamp, fact: &Fact) -> Option<Incident> {
    let Fact::Opened {
        incident,
        rule,
        service,
        signature,
        cause,
        occurred_at,
        detected_at,
        impact,
        urgency,
        priority,
        matrix_version,
        target,
        calendar,
        previous,
    } = fact
    else {
        return None;
    };
    let reporter = Actor::Rule(rule.clone());
    let mut record = Incident {
        id: *incident,
        generation: 1,
        occurred_at: *occurred_at,
        detected_at: *detected_at,
        created_at: at,
        reporter: reporter.clone(),
        service: service.clone(),
        signature: signature.clone(),
        cis: BTreeSet::new(),
        present: BTreeSet::new(),
        cis_more: 0,
        impact: *impact,
        urgency: *urgency,
        priority: *priority,
        matrix_version: matrix_version.clone(),
        state: State::New,
        assignee: None,
        own: Clock::new(ClockKind::Own, *calendar, target.own),
        resolve: Clock::new(ClockKind::Resolve, *calendar, target.resolve),
        holds: VecDeque::new(),
        escalation: 0,
        recovers_at: None,
        events: 0,
        cause: cause.clone(),
        previous: *previous,
        closure: None,
        history: VecDeque::from([Step {
            at,
            by: reporter,
            action: None,
            to: State::New,
        }]),
    };
    record.own.start(at);
    record.resolve.start(at);
    Some(record)
}

/// Adds an event to its incident. True if it brought a new item to one that had some.
fn attach(record: &mut Incident, event: &Event, cis_max: usize) -> bool {
    record.events += 1;
    match event.condition {
        Condition::Cleared => {
            record.present.remove(&event.ci);
            false
        }
        Condition::Present if record.cis.contains(&event.ci) => {
            record.present.insert(event.ci.clone());
            false
        }
        Condition::Present if record.cis.len() < cis_max => {
            let first = record.cis.is_empty();
            record.cis.insert(event.ci.clone());
            record.present.insert(event.ci.clone());
            !first
        }
        Condition::Present => {
            record.cis_more += 1;
            false
        }
    }
}

/// Moves an incident; the clocks follow the state.
fn step(
    record: &mut Incident,
    at: Timestamp,
    by: &Actor,
    action: &Action,
    to: State,
    pauses_clock: bool,
) {
    if let Some(hold) = record.holds.back_mut().filter(|h| h.until.is_none()) {
        hold.until = Some(at);
    }
    match action {
        Action::Assign { group, person } => {
            record.assignee = Some(Assignee {
                group: group.clone(),
                person: person.clone(),
            });
        }
        Action::Hold { reason } => record.holds.push_back(Hold {
            reason: *reason,
            from: at,
            until: None,
            pauses_clock,
        }),
        Action::Resolve {
            code,
            text,
            caused_by_change,
        } => {
            record.closure = Some(Closure {
                code: code.clone(),
                text: text.clone(),
                by: by.clone(),
                at,
                caused_by_change: *caused_by_change,
            });
        }
        Action::Cancel { reason } => {
            record.closure = Some(Closure {
                code: ClosureCode::Cancelled,
                text: reason.clone(),
                by: by.clone(),
                at,
                caused_by_change: None,
            });
        }
        Action::Reopen { .. } => {
            record.generation += 1;
            record.closure = None;
        }
        Action::Start | Action::Resume | Action::Close => {}
    }
    record.state = to;
    if !to.is_open() {
        record.recovers_at = None;
        record.present.clear();
    }
    match to {
        State::New => record.own.start(at),
        _ => record.own.stop(at),
    }
    if to.is_open() && !(to == State::Pending && pauses_clock) {
        record.resolve.start(at);
    } else {
        record.resolve.stop(at);
    }
    record.history.push_back(Step {
        at,
        by: by.clone(),
        action: Some(action.clone()),
        to,
    });
}
