//! The machine: decides what happens, writes it down, and only then acts.

use std::collections::VecDeque;

use telemetry_core::{LogGroup, LogHead, Timestamp};

use crate::config::{Config, ConfigError};
use crate::entry::{ENTRY_VERSION, Effect, EffectId, EffectOutcome, Entry, Fact};
use crate::event::{Condition, Event, Rule, Significance};
use crate::fsm::{self, State, Verb};
use crate::hash_chain::{self, ChainError};
use crate::incident::{Action, Actor, ClosureCode, Incident, IncidentId};
use crate::sla::Threshold;
use crate::state::{MachineState, Timer};

/// What the machine is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Monitoring reports.
    Event(Event),
    /// A person acts.
    Command {
        /// Account of the person.
        by: String,
        /// Number of the incident.
        incident: IncidentId,
        /// What the person wants done, with its arguments.
        action: Action,
    },
    /// The log took group `seq`; groups settle in order.
    LogWon {
        /// Place of the group.
        seq: u64,
    },
    /// The log refused group `seq`: another writer leads. The machine stops for good.
    LogLost {
        /// Place of the group.
        seq: u64,
    },
    /// An effect ended, delivered or given up.
    EffectEnded {
        /// The effect, as [`Output::Effect`] named it.
        id: EffectId,
        /// Whether it was delivered or given up.
        outcome: EffectOutcome,
    },
    /// Time passed: what [`Itil::poll_timeout`] asked for.
    Tick,
}

/// What the machine wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Append this to the log and answer with [`Input::LogWon`] or [`Input::LogLost`].
    Append(LogGroup),
    /// Tell someone. Comes only after the entry that decided it is won. Right before acting, check
    /// that the log's head is still this machine's: no log can stop a process that was paused in
    /// between, so the receiver also removes duplicates by [`Effect::id`].
    Effect(Effect),
}

/// Counters since the machine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events taken.
    pub events: u64,
    /// Events whose cause was known already: dropped.
    pub duplicates: u64,
    /// Incidents opened.
    pub opened: u64,
    /// Incidents opened again.
    pub reopened: u64,
    /// Targets missed.
    pub breaches: u64,
}

/// Events, incidents and SLA clocks as one deterministic machine.
///
/// The state is what the log says and nothing else, so [`Itil::replay`] rebuilds it exactly.
#[derive(Debug)]
pub struct Itil {
    config: Config,
    state: MachineState,
    stats: Stats,
    /// Never goes back, whatever the caller's clock does.
    now: Timestamp,
    /// Effective time of the newest entry.
    at: Timestamp,
    head: Option<LogHead>,
    /// Set while this machine may write.
    writer: Option<u128>,
    /// Entries of the input at hand.
    draft: Vec<Vec<u8>>,
    /// Groups appended and not settled.
    unsettled: VecDeque<u64>,
    /// Effects whose group is not won yet; after a takeover also those never finished.
    held: VecDeque<(u64, EffectId)>,
    outputs: VecDeque<Output>,
}

impl Itil {
    /// A machine with an empty log. It takes inputs after [`take_over`](Self::take_over).
    ///
    /// # Errors
    /// Names the field of `config` that cannot be.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config,
            state: MachineState::default(),
            stats: Stats::default(),
            now: Timestamp::from_micros(i64::MIN),
            at: Timestamp::from_micros(i64::MIN),
            head: None,
            writer: None,
            draft: Vec::new(),
            unsettled: VecDeque::new(),
            held: VecDeque::new(),
            outputs: VecDeque::new(),
        })
    }

    /// The machine that wrote `groups`, as it was after the last one, checking the hash chain.
    /// It decides nothing until [`take_over`](Self::take_over): good for audits as it is.
    ///
    /// # Errors
    /// The first group or entry that was changed, is missing or cannot be read.
    pub fn replay<'a>(
        config: Config,
        groups: impl IntoIterator<Item = &'a LogGroup>,
    ) -> Result<Self, ReplayError> {
        let mut itil = Self::new(config)?;
        for group in groups {
            itil.replay_group(group)?;
        }
        Ok(itil)
    }

    /// Takes one more group of another writer: how a standby follows the leader.
    ///
    /// # Errors
    /// As [`replay`](Self::replay); after one, this machine is of no use.
    pub fn replay_group(&mut self, group: &LogGroup) -> Result<(), ReplayError> {
        hash_chain::verify(self.head, group)?;
        for (index, bytes) in (0u32..).zip(&group.entries) {
            let id = EffectId {
                seq: group.seq,
                index,
            };
            let bad = |reason: String| ReplayError::Entry {
                seq: id.seq,
                index,
                reason,
            };
            let entry: Entry =
                serde_json::from_slice(bytes).map_err(|e| match version_of(bytes) {
                    Some(v) if v > ENTRY_VERSION => ReplayError::Version { seq: id.seq, v },
                    _ => bad(e.to_string()),
                })?;
            if entry.v > ENTRY_VERSION {
                return Err(ReplayError::Version {
                    seq: id.seq,
                    v: entry.v,
                });
            }
            self.state
                .apply(&self.config, id, &entry)
                .map_err(|_| bad("does not fit the entries before it".into()))?;
            self.at = self.at.max(entry.at);
            self.now = self.now.max(entry.recorded_at);
        }
        self.head = Some(LogHead::from(group));
        Ok(())
    }

    /// Begins to write as `writer`, a number that no other process uses: random.
    ///
    /// The takeover is itself an entry. Once it is won, effects that were decided and never
    /// finished come out again; their receivers remove the duplicates.
    pub fn take_over(&mut self, now: Timestamp, writer: u128) {
        self.now = self.now.max(now);
        self.writer = Some(writer);
        self.unsettled.clear();
        self.outputs.clear();
        let seq = self.head.map_or(1, |h| h.seq.saturating_add(1));
        self.held = self.state.outbox.keys().map(|id| (seq, *id)).collect();
        self.at = self.at.max(self.now);
        let writer = format!("{writer:032x}");
        self.record(self.at, Fact::TookOver { writer });
        self.seal();
    }

    /// Takes an input at wall time `now`; a `now` before the last one stands still.
    ///
    /// Timers that are due fire first, at the time they were due: how late or often the machine is
    /// ticked changes nothing but the time of notification. A refused input changes nothing
    /// itself.
    ///
    /// # Errors
    /// The refusal brings the input back and says what to do before it is offered again, or why it
    /// can never be taken.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) -> Result<(), Box<Refusal>> {
        let taken = self.take(now, &input);
        taken.map_err(|reason| Box::new(Refusal { reason, input }))
    }

    fn take(&mut self, now: Timestamp, input: &Input) -> Result<(), InputError> {
        if self.writer.is_none() {
            return Err(InputError::NotLeading);
        }
        match *input {
            Input::LogWon { seq } => return self.settle(seq),
            Input::LogLost { .. } => {
                self.writer = None;
                self.outputs.clear();
                return Ok(());
            }
            _ => {}
        }
        let limits = self.config.limits;
        if self.unsettled.len() >= limits.groups_max {
            return Err(InputError::LogBehind {
                waiting: self.unsettled.len(),
            });
        }
        let ends_effect = matches!(input, Input::EffectEnded { .. });
        if !ends_effect && self.state.outbox.len() >= limits.outbox_max {
            return Err(InputError::OutboxFull {
                waiting: self.state.outbox.len(),
            });
        }
        self.now = self.now.max(now);
        if !ends_effect {
            self.fire_timers();
            if self.state.outbox.len() >= limits.outbox_max {
                self.seal();
                return Err(InputError::OutboxFull {
                    waiting: self.state.outbox.len(),
                });
            }
        }
        self.at = self.at.max(self.now);
        let result = match input {
            Input::Event(event) => self.take_event(event),
            Input::Command {
                by,
                incident,
                action,
            } => self.take_command(by, *incident, action),
            Input::EffectEnded { id, outcome } => self.end_effect(*id, outcome),
            Input::LogWon { .. } | Input::LogLost { .. } | Input::Tick => Ok(()),
        };
        if result.is_ok() && !ends_effect {
            // A clear time of zero is due at once.
            self.fire_timers();
        }
        self.seal();
        result
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`] if nothing else happens.
    ///
    /// `None` also while timers cannot fire: not leading, or waiting for the log or for effects.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let limits = self.config.limits;
        let blocked = self.writer.is_none()
            || self.unsettled.len() >= limits.groups_max
            || self.state.outbox.len() >= limits.outbox_max;
        let (at, ..) = self.state.next_timer().filter(|_| !blocked)?;
        Some(at)
    }

    /// Incidents by number: all that are not terminal, and the newest that are.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.state.incidents.values()
    }

    /// One incident.
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.state.incidents.get(&id)
    }

    /// Effects decided and not finished.
    pub fn outbox(&self) -> impl Iterator<Item = &Effect> {
        self.state.outbox.values()
    }

    /// Counters.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// The last group written or replayed.
    pub const fn head(&self) -> Option<LogHead> {
        self.head
    }

    /// The whole state as JSON: equal bytes mean equal machines.
    pub fn snapshot(&self) -> String {
        // A struct of strings, numbers and lists always has a JSON form.
        serde_json::to_string(&self.state).unwrap_or_default()
    }

    fn settle(&mut self, seq: u64) -> Result<(), InputError> {
        if self.unsettled.front() != Some(&seq) {
            return Err(InputError::NotWaiting {
                seq,
                expected: self.unsettled.front().copied(),
            });
        }
        self.unsettled.pop_front();
        while let Some((_, id)) = self.held.pop_front_if(|(group, _)| *group <= seq) {
            if let Some(effect) = self.state.outbox.get(&id) {
                self.outputs.push_back(Output::Effect(effect.clone()));
            }
        }
        Ok(())
    }

    /// Applies a fact and drafts its entry. All that changes the state goes through here.
    fn record(&mut self, at: Timestamp, fact: Fact) {
        let entry = Entry {
            v: ENTRY_VERSION,
            at,
            recorded_at: self.now,
            fact,
        };
        let id = EffectId {
            seq: self.head.map_or(1, |h| h.seq.saturating_add(1)),
            index: u32::try_from(self.draft.len()).unwrap_or(u32::MAX),
        };
        let applied = self.state.apply(&self.config, id, &entry);
        debug_assert!(applied.is_ok(), "decided what does not fit: {entry:?}");
        if self.state.outbox.contains_key(&id) {
            self.held.push_back((id.seq, id));
        }
        self.draft.push(
            // A struct of strings, finite numbers and lists always has a JSON form.
            serde_json::to_vec(&entry).unwrap_or_default(),
        );
    }

    fn seal(&mut self) {
        let (Some(writer), false) = (self.writer, self.draft.is_empty()) else {
            return;
        };
        let group = hash_chain::seal(self.head, writer, std::mem::take(&mut self.draft));
        self.head = Some(LogHead::from(&group));
        self.unsettled.push_back(group.seq);
        self.outputs.push_back(Output::Append(group));
    }

    fn fire_timers(&mut self) {
        while let Some((due, id, timer)) = self.state.next_timer() {
            if due > self.now || self.state.outbox.len() >= self.config.limits.outbox_max {
                return;
            }
            // A shorter close time in a newer configuration may lie before what has happened.
            self.at = self.at.max(due);
            match timer {
                Timer::Recover => {
                    let action = Action::Resolve {
                        code: ClosureCode::SelfHealed,
                        text: "the condition cleared and stayed away".into(),
                        caused_by_change: None,
                    };
                    self.move_by_machine(id, action, State::Resolved);
                }
                Timer::Close => self.move_by_machine(id, Action::Close, State::Closed),
                Timer::Clock(clock, threshold) => {
                    let fact = Fact::Threshold {
                        incident: id,
                        clock,
                        threshold,
                    };
                    self.record(self.at, fact);
                    if threshold == Threshold::Breach {
                        self.stats.breaches += 1;
                        let level = self.state.incidents.get(&id).map_or(0, |i| i.escalation) + 1;
                        let fact = Fact::Escalated {
                            incident: id,
                            level,
                            clock,
                        };
                        self.record(self.at, fact);
                    }
                }
            }
        }
    }

    fn move_by_machine(&mut self, incident: IncidentId, action: Action, to: State) {
        let fact = Fact::Moved {
            incident,
            by: Actor::Machine,
            action,
            to,
            pauses_clock: false,
        };
        self.record(self.at, fact);
    }

    fn take_event(&mut self, event: &Event) -> Result<(), InputError> {
        let names = [
            ("service", &event.service),
            ("ci", &event.ci),
            ("signature", &event.signature),
            ("cause.record", &event.cause.record),
            ("cause.detector", &event.cause.detector),
        ];
        for (field, text) in names {
            check_text(field, text, self.config.limits.name_bytes_max)?;
        }
        if !event.score.is_finite() {
            return Err(InputError::NotFinite);
        }
        let Some(rule) = self.config.rule(&event.rule).cloned() else {
            return Err(InputError::UnknownRule {
                rule: event.rule.id.clone(),
                version: event.rule.version,
            });
        };
        if self.state.knows(&event.cause) {
            self.stats.duplicates += 1;
            return Ok(());
        }
        let latest = self.state.latest(&event.service, &event.signature);
        let latest = latest.map(|i| (i.id, i.state, i.closure.as_ref().map(|c| c.at)));
        let raises =
            event.significance == Significance::Exception && event.condition == Condition::Present;
        let incident = match latest {
            Some((id, state, _)) if state.is_open() => Some(id),
            Some((id, State::Resolved, Some(at))) if raises && self.may_reopen(at) => {
                self.reopen(id, event);
                Some(id)
            }
            _ if raises => Some(self.open(&rule, event, latest.map(|(id, ..)| id))?),
            _ => None,
        };
        let recovers_at = incident
            .and_then(|id| self.state.incidents.get(&id))
            .filter(|i| event.condition == Condition::Cleared && stays_clear(i, &event.ci))
            .map(|_| self.at + rule.clear);
        self.stats.events += 1;
        let fact = Fact::Event {
            event: event.clone(),
            incident,
            recovers_at,
        };
        self.record(self.at, fact);
        Ok(())
    }

    fn may_reopen(&self, resolved_at: Timestamp) -> bool {
        self.at.saturating_since(resolved_at) <= self.config.reopen_within
    }

    fn open(
        &mut self,
        rule: &Rule,
        event: &Event,
        previous: Option<IncidentId>,
    ) -> Result<IncidentId, InputError> {
        let active = self.state.active();
        if active >= self.config.limits.active_max {
            return Err(InputError::TooManyActive { active });
        }
        let incident = self.state.next_id();
        let priority = self.config.matrix.priority(rule.impact, rule.urgency);
        self.stats.opened += 1;
        let fact = Fact::Opened {
            incident,
            rule: event.rule.clone(),
            service: event.service.clone(),
            signature: event.signature.clone(),
            cause: event.cause.clone(),
            occurred_at: event.occurred_at,
            detected_at: event.detected_at,
            impact: rule.impact,
            urgency: rule.urgency,
            priority,
            matrix_version: self.config.matrix.version().into(),
            target: self.config.targets.of(priority),
            calendar: self.config.calendar,
            previous,
        };
        self.record(self.at, fact);
        Ok(incident)
    }

    fn reopen(&mut self, incident: IncidentId, event: &Event) {
        let owned = self
            .state
            .incidents
            .get(&incident)
            .is_some_and(|i| i.assignee.is_some());
        let Some(to) = fsm::next(State::Resolved, Verb::Reopen, true, owned) else {
            return;
        };
        self.stats.reopened += 1;
        let fact = Fact::Moved {
            incident,
            by: Actor::Rule(event.rule.clone()),
            action: Action::Reopen {
                reason: "monitoring reports it again".into(),
            },
            to,
            pauses_clock: false,
        };
        self.record(self.at, fact);
    }

    fn take_command(
        &mut self,
        by: &str,
        id: IncidentId,
        action: &Action,
    ) -> Result<(), InputError> {
        check_text("by", by, self.config.limits.name_bytes_max)?;
        check_action(action, self.config.limits)?;
        let Some(incident) = self.state.incidents.get(&id) else {
            return Err(InputError::UnknownIncident { incident: id });
        };
        let verb = action.verb();
        let owned = incident.assignee.is_some();
        let Some(to) = fsm::next(incident.state, verb, false, owned) else {
            return Err(InputError::IllegalTransition {
                incident: id,
                state: incident.state,
                command: verb,
            });
        };
        if verb == Verb::Reopen {
            let resolved_at = incident.closure.as_ref().map_or(self.at, |c| c.at);
            if !self.may_reopen(resolved_at) {
                return Err(InputError::ReopenTooLate {
                    incident: id,
                    resolved_at,
                });
            }
            self.stats.reopened += 1;
        }
        let pauses_clock =
            matches!(action, Action::Hold { reason } if self.config.pausing.contains(reason));
        let fact = Fact::Moved {
            incident: id,
            by: Actor::Person(by.to_owned()),
            action: action.clone(),
            to,
            pauses_clock,
        };
        self.record(self.at, fact);
        Ok(())
    }

    fn end_effect(&mut self, id: EffectId, outcome: &EffectOutcome) -> Result<(), InputError> {
        if !self.state.outbox.contains_key(&id) {
            return Err(InputError::UnknownEffect { effect: id });
        }
        if let EffectOutcome::Failed { reason } = outcome {
            check_text("reason", reason, self.config.limits.text_bytes_max)?;
        }
        let fact = Fact::EffectEnded {
            effect: id,
            outcome: outcome.clone(),
        };
        self.record(self.at, fact);
        Ok(())
    }
}

/// Whether nothing shows the condition any more once `ci` is clear.
fn stays_clear(incident: &Incident, ci: &str) -> bool {
    incident.cis_more == 0 && incident.present.iter().all(|p| p == ci)
}

fn check_action(action: &Action, limits: crate::Limits) -> Result<(), InputError> {
    let (name, text) = (limits.name_bytes_max, limits.text_bytes_max);
    match action {
        Action::Assign { group, person } => {
            check_text("group", group, name)?;
            person
                .as_ref()
                .map_or(Ok(()), |p| check_text("person", p, name))
        }
        Action::Resolve { code, text: t, .. } => {
            check_text("text", t, text)?;
            match code {
                ClosureCode::Cancelled => Err(InputError::CancelInstead),
                ClosureCode::FixedByChange { change } => check_text("change", change, name),
                _ => Ok(()),
            }
        }
        Action::Reopen { reason } | Action::Cancel { reason } => check_text("reason", reason, text),
        Action::Start | Action::Hold { .. } | Action::Resume | Action::Close => Ok(()),
    }
}

fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), InputError> {
    match text.len() {
        0 => Err(InputError::MissingField { field }),
        len if len > max => Err(InputError::TextTooLong { field, len, max }),
        _ => Ok(()),
    }
}

fn version_of(bytes: &[u8]) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u32,
    }
    serde_json::from_slice::<Version>(bytes).ok().map(|v| v.v)
}

/// An input that was not taken, and why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What is wrong with the input, or what has to happen before it is taken.
    pub reason: InputError,
    /// The input, as it was: to be offered again when [`InputError::action`] is done.
    pub input: Input,
}

/// What to do about a refused input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalAction {
    /// Settle appended groups ([`Input::LogWon`]), then offer it again.
    SettleLog,
    /// End effects ([`Input::EffectEnded`]), then offer it again.
    EndEffects,
    /// Close or resolve incidents, or raise the limit, then offer it again.
    EndIncidents,
    /// Replay the log and take over, or step down.
    TakeOver,
    /// Drop it: it says what is known, or what cannot be.
    Drop,
    /// Change it: as it is, it will never be taken.
    Change,
}

/// Why an input was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Replay the log and [`Itil::take_over`], or step down: another writer may lead.
    #[error("this machine does not lead: take over first")]
    NotLeading,
    /// Settle appended groups with [`Input::LogWon`], then offer the input again.
    #[error("{waiting} log groups wait for their answer")]
    LogBehind {
        /// Groups appended and not settled.
        waiting: usize,
    },
    /// Report ended effects with [`Input::EffectEnded`], then offer the input again.
    #[error("{waiting} effects wait for their end")]
    OutboxFull {
        /// Effects not finished.
        waiting: usize,
    },
    /// Groups settle in order; this answer is not the next one.
    #[error("log group {seq} is not the one that waits ({expected:?})")]
    NotWaiting {
        /// Place in the answer.
        seq: u64,
        /// The group that waits.
        expected: Option<u64>,
    },
    /// Close or resolve incidents, or raise [`Limits::active_max`](crate::Limits::active_max).
    #[error("{active} incidents are active, no more are allowed")]
    TooManyActive {
        /// Incidents that are not terminal.
        active: usize,
    },
    /// Declare the rule in [`Config::rules`], in this version: an undeclared rule opens nothing.
    #[error("rule {rule} version {version} is not declared")]
    UnknownRule {
        /// Id of the rule.
        rule: String,
        /// Version of the rule that the event names.
        version: u32,
    },
    /// A score that is no finite number says nothing.
    #[error("the score is not a finite number")]
    NotFinite,
    /// Fill the field.
    #[error("{field} is empty")]
    MissingField {
        /// Name of the field.
        field: &'static str,
    },
    /// Shorten the text.
    #[error("{field} has {len} bytes, at most {max} are allowed")]
    TextTooLong {
        /// Name of the field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// Largest length in bytes.
        max: usize,
    },
    /// There is no such incident, or it ended too long ago.
    #[error("{incident} is not known")]
    UnknownIncident {
        /// Number of the incident.
        incident: IncidentId,
    },
    /// The transition table has no such step.
    #[error("{incident} is {state:?}: {command:?} is not possible")]
    IllegalTransition {
        /// Which incident.
        incident: IncidentId,
        /// Where it is.
        state: State,
        /// What was asked.
        command: Verb,
    },
    /// The window has passed; the next exception opens a linked incident.
    #[error("{incident} was resolved at {resolved_at}, too long ago to reopen")]
    ReopenTooLate {
        /// Which incident.
        incident: IncidentId,
        /// When it was resolved.
        resolved_at: Timestamp,
    },
    /// [`ClosureCode::Cancelled`] belongs to [`Action::Cancel`].
    #[error("resolve does not take the code cancelled: use cancel")]
    CancelInstead,
    /// It has ended already, or was never started.
    #[error("effect {}.{} is not in the outbox", effect.seq, effect.index)]
    UnknownEffect {
        /// The effect that nobody waits for.
        effect: EffectId,
    },
}

impl InputError {
    /// What to do about it.
    pub const fn action(&self) -> RefusalAction {
        match self {
            Self::NotLeading => RefusalAction::TakeOver,
            Self::LogBehind { .. } => RefusalAction::SettleLog,
            Self::OutboxFull { .. } => RefusalAction::EndEffects,
            Self::TooManyActive { .. } => RefusalAction::EndIncidents,
            Self::NotWaiting { .. } | Self::UnknownEffect { .. } => RefusalAction::Drop,
            Self::UnknownRule { .. }
            | Self::NotFinite
            | Self::MissingField { .. }
            | Self::TextTooLong { .. }
            | Self::UnknownIncident { .. }
            | Self::IllegalTransition { .. }
            | Self::ReopenTooLate { .. }
            | Self::CancelInstead => RefusalAction::Change,
        }
    }
}

telemetry_core::error_codes!(InputError {
    NotLeading => 5031,
    LogBehind { .. } => 5032,
    OutboxFull { .. } => 5033,
    NotWaiting { .. } => 5034,
    TooManyActive { .. } => 5035,
    UnknownRule { .. } => 5036,
    NotFinite => 5037,
    MissingField { .. } => 5038,
    TextTooLong { .. } => 5039,
    UnknownIncident { .. } => 5040,
    IllegalTransition { .. } => 5041,
    ReopenTooLate { .. } => 5042,
    CancelInstead => 5043,
    UnknownEffect { .. } => 5044,
});

/// Why a log could not be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log is not what was written.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A newer release wrote it: use that one.
    #[error("log: group {seq} has entry version {v}, this release reads up to {ENTRY_VERSION}")]
    Version {
        /// Place of the group.
        seq: u64,
        /// Version that the entry was written with.
        v: u32,
    },
    /// An entry cannot be read.
    #[error("log: group {seq}, entry {index}: {reason}")]
    Entry {
        /// Place of the group.
        seq: u64,
        /// Place in the group.
        index: u32,
        /// What is wrong.
        reason: String,
    },
}

telemetry_core::error_codes!(ReplayError {
    Config(..) => 5061,
    Chain(..) => 5062,
    Version { .. } => 5063,
    Entry { .. } => 5064,
});
