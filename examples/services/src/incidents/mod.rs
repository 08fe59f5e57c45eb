//! The service that manages incidents: scores and rules in, a sealed log and effects out.
//!
//! An event that the machine of `itil` has no room for waits here, in order, and while one waits no
//! further deliveries are taken. A group of entries whose append got no answer is appended again:
//! a log that has it says so. Only a log that another process writes ends this one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use telemetry_core::records::DeviceEvent;
use telemetry_core::{
    Appended, Entry, Fingerprint, Instant, LogGroup, LogStore, StreamName, Timestamp,
};
use telemetry_itil::detect::{Score, Watch};
use telemetry_itil::{
    self as itil, Cause, Config, ConfigError, Effect, EffectId, EffectOutcome, Event, Incident,
    InputError, Itil, RefusalAction, ReplayError, Rule,
};
use telemetry_transport::Token;

use crate::machine::backoff;
pub use crate::reading::{AnnouncementWait, BuiltInError};
use crate::reading::{Inbox, LookedUp, Next};
use crate::{Busy, Input, Machine, Now, Output, Unavailable};

/// How the service works.
#[derive(Clone, Debug)]
pub struct IncidentsConfig {
    /// Rules, tables and times of `itil`.
    pub itil: Config,
    /// Which rule the scores of a detector go by: name of the detector to id of the rule.
    pub detectors: BTreeMap<String, String>,
    /// Deliveries taken together; default 256.
    pub group_max: usize,
    /// How scores wait whose schema is not registered yet; then they pass unread.
    pub announcements: AnnouncementWait,
    /// Events that wait for room; default 1,024. Beyond, a score is refused.
    pub pending_max: usize,
    /// Series watched, each a rule and a configuration item; default 10,000. Scores of others are
    /// refused.
    pub watches_max: usize,
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        Self {
            itil: Config::default(),
            detectors: BTreeMap::new(),
            group_max: 256,
            announcements: AnnouncementWait::default(),
            pending_max: 1_024,
            watches_max: 10_000,
        }
    }
}

/// A score of one series, to be judged by a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreOf {
    /// Id of the rule.
    pub rule: String,
    /// The configuration item that shows it.
    pub ci: String,
    /// The detector's opinion.
    pub score: Score,
    /// Which record it is of, and by which detector.
    pub cause: Cause,
}

/// Why a score was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// Declare the rule in [`IncidentsConfig::itil`].
    #[error("the rule is not declared")]
    UnknownRule,
    /// Offer it again when what waits is taken.
    #[error("{waiting} events wait for the log")]
    Busy {
        /// Events that wait.
        waiting: usize,
    },
    /// Raise [`IncidentsConfig::watches_max`].
    #[error("{max} series are watched, no more are allowed")]
    TooMany {
        /// What is allowed.
        max: usize,
    },
    /// Another process writes the log: open it again, or end.
    #[error("another process writes this incident log")]
    NotLeading,
}

/// What the service has to say.
#[derive(Debug)]
pub enum IncidentsEvent {
    /// Tell somebody; its entry is won. Answer with [`Incidents::effect_ended`].
    Effect(Effect),
    /// An event was dropped: as it is, it will never be taken.
    Dropped { reason: InputError },
    /// The log does not answer; the group is appended again.
    Waiting {
        /// What was said.
        error: Unavailable,
    },
    /// The registry does not answer; the schema of the scores is looked up again.
    NoSchema {
        /// What was said.
        error: Unavailable,
    },
    /// Another process writes the log: this one decides nothing any more.
    NotLeading,
}

/// Why the log cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E: std::error::Error> {
    #[error("incident rules: {0}")]
    Config(#[from] ConfigError),
    /// The log's content.
    #[error("incident log: {0}")]
    Replay(#[from] ReplayError),
    /// The log cannot be read.
    #[error("incident log: {0}")]
    Log(E),
    /// A built-in schema.
    #[error(transparent)]
    BuiltIn(#[from] BuiltInError),
}

pub struct Incidents {
    config: IncidentsConfig,
    itil: Itil,
    watches: BTreeMap<(String, String), Watch>,
    inbox: Inbox<DeviceEvent>,
    /// Scores whose schema nobody announced in time.
    unread: u64,
    /// What the machine had no room for, in order.
    pending: VecDeque<itil::Input>,
    /// Groups whose append is not answered, in order. `Limits::groups_max` bounds them.
    unsettled: VecDeque<LogGroup>,
    /// Deliveries that are looked at, until what followed from them is won.
    done: Vec<Token>,
    /// Attempts since the log answered last at which it did not, and when the next one is.
    failures: u32,
    again_at: Option<Instant>,
    leads: bool,
    /// The moment that went with the last input: what wall times are turned into deadlines by.
    now: Now,
    outputs: VecDeque<Output<IncidentsEvent>>,
}

impl Incidents {
    /// Replays a log and takes it over as `writer`, a number that no other process uses: random.
    ///
    /// Time goes on where the log ends.
    pub async fn open<L: LogStore>(
        config: IncidentsConfig,
        log: &mut L,
        now: Now,
        writer: u128,
    ) -> Result<Self, OpenError<L::Error>> {
        const GROUPS: usize = 1_000;
        let mut itil = Itil::new(config.itil.clone())?;
        let mut next = 1;
        loop {
            let groups = log.read(next, GROUPS).await.map_err(OpenError::Log)?;
            let Some(last) = groups.last() else { break };
            next = last.seq + 1;
            for group in &groups {
                itil.replay_group(group)?;
            }
        }
        let mut watches = BTreeMap::new();
        for incident in itil.incidents() {
            let rules = &config.itil.rules;
            let rule = rules.iter().find(|rule| {
                rule.service == incident.service && rule.signature == incident.signature
            });
            for (rule, ci) in rule
                .into_iter()
                .flat_map(|r| incident.present.iter().map(move |ci| (r, ci)))
            {
                let watch = Watch::raised(rule.clone(), ci.clone(), incident.occurred_at);
                watches.insert((rule.rule.id.clone(), ci.clone()), watch);
            }
        }
        itil.take_over(now.wall, writer);
        let mut incidents = Self {
            inbox: Inbox::new(config.announcements)?,
            unread: 0,
            config,
            itil,
            watches,
            pending: VecDeque::new(),
            unsettled: VecDeque::new(),
            done: Vec::new(),
            failures: 0,
            again_at: None,
            leads: true,
            now,
            outputs: VecDeque::new(),
        };
        incidents.pass_on();
        Ok(incidents)
    }

    /// Takes the score of one record.
    ///
    /// # Errors
    /// It changes nothing then, and may be offered again where the error says so.
    pub fn score(&mut self, now: Now, of: ScoreOf) -> Result<(), ScoreError> {
        self.now = now;
        if !self.leads {
            return Err(ScoreError::NotLeading);
        }
        if self.pending.len() >= self.config.pending_max {
            let waiting = self.pending.len();
            return Err(ScoreError::Busy { waiting });
        }
        let key = (of.rule, of.ci);
        let max = self.config.watches_max;
        let full = self.watches.len() >= max;
        let watch = match self.watches.get_mut(&key) {
            Some(watch) => watch,
            None if full => return Err(ScoreError::TooMany { max }),
            None => {
                let rule = self.rule(&key.0).ok_or(ScoreError::UnknownRule)?;
                let watch = Watch::new(rule.clone(), key.1.clone());
                self.watches.entry(key).or_insert(watch)
            }
        };
        if let Some(event) = watch.update(now.wall, of.score, of.cause) {
            self.event(event);
        }
        Ok(())
    }

    fn rule(&self, id: &str) -> Option<&Rule> {
        self.config
            .itil
            .rules
            .iter()
            .find(|rule| rule.rule.id == id)
    }

    fn event(&mut self, event: Event) {
        self.pending.push_back(itil::Input::Event(event));
        self.offer();
    }

    /// An effect ended, delivered or given up.
    pub fn effect_ended(&mut self, now: Now, id: EffectId, outcome: EffectOutcome) {
        self.now = now;
        let ended = itil::Input::EffectEnded { id, outcome };
        // It makes room for what waits before it.
        self.pending.push_front(ended);
        self.offer();
    }

    /// Every incident that is known, oldest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.itil.incidents()
    }

    /// Scores that passed unread: nobody announced their schema.
    pub const fn unread(&self) -> u64 {
        self.unread
    }

    /// Offers what waits, until there is no room.
    fn offer(&mut self) {
        let mut late = VecDeque::new();
        while let Some(input) = self.pending.pop_front() {
            let taken = self.itil.handle_input(self.now.wall, input);
            self.pass_on();
            let Err(refusal) = taken else { continue };
            match refusal.reason.action() {
                RefusalAction::SettleLog | RefusalAction::EndEffects => {
                    self.pending.push_front(refusal.input);
                    break;
                }
                // Others may be taken meanwhile.
                RefusalAction::EndIncidents => late.push_back(refusal.input),
                RefusalAction::TakeOver => self.lost(),
                _ => self.say(IncidentsEvent::Dropped {
                    reason: refusal.reason,
                }),
            }
        }
        self.pending.append(&mut late);
    }

    /// Passes on what the machine wants.
    fn pass_on(&mut self) {
        while let Some(output) = self.itil.poll_output() {
            match output {
                itil::Output::Append(group) => {
                    // One at a time: while one is not answered, the next one waits behind it.
                    if self.unsettled.is_empty() {
                        self.outputs.push_back(Output::Append(group.clone()));
                    }
                    self.unsettled.push_back(group);
                }
                itil::Output::Effect(effect) => self.say(IncidentsEvent::Effect(effect)),
            }
        }
    }

    fn appended(&mut self, seq: u64, answer: Result<Appended, Unavailable>) {
        if self.unsettled.front().is_none_or(|group| group.seq != seq) {
            return;
        }
        match answer {
            Ok(Appended::Won) => {
                self.failures = 0;
                self.unsettled.pop_front();
                let won = self
                    .itil
                    .handle_input(self.now.wall, itil::Input::LogWon { seq });
                debug_assert!(won.is_ok(), "groups are answered in order: {won:?}");
                if let Some(next) = self.unsettled.front() {
                    self.outputs.push_back(Output::Append(next.clone()));
                }
                self.pass_on();
                self.offer();
            }
            Ok(Appended::Lost { .. }) => {
                // It stops by itself, and refuses whatever comes.
                let lost = itil::Input::LogLost { seq };
                let stopped = self.itil.handle_input(self.now.wall, lost);
                debug_assert!(stopped.is_ok(), "a loss is always taken: {stopped:?}");
                self.lost();
            }
            Err(error) => self.wait(error),
        }
    }

    fn lost(&mut self) {
        if std::mem::replace(&mut self.leads, false) {
            self.pending.clear();
            self.unsettled.clear();
            self.say(IncidentsEvent::NotLeading);
        }
    }

    fn wait(&mut self, error: Unavailable) {
        self.again_at = Some(self.now.instant + backoff(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.say(IncidentsEvent::Waiting { error });
    }

    /// Looks at deliveries, until a schema has to be asked for or there is no room.
    fn go_on(&mut self) {
        while self.again_at.is_none()
            && self.pending.is_empty()
            && let Some(next) = self.inbox.next()
        {
            match next {
                Next::LookUp {
                    subject,
                    fingerprint,
                } => self.outputs.push_back(Output::LookUp {
                    subject,
                    fingerprint,
                }),
                Next::Records {
                    token,
                    device,
                    records,
                } => {
                    let ci = device.to_string();
                    for event in records {
                        self.device_event(&ci, event);
                    }
                    self.done.push(token);
                }
            }
        }
    }

    /// Acknowledges what was looked at, once all that followed from it is won. A cause that comes
    /// again is known by then, and dropped.
    fn acknowledge(&mut self) {
        if self.pending.is_empty() && self.unsettled.is_empty() && !self.done.is_empty() {
            let done = std::mem::take(&mut self.done);
            self.outputs.push_back(Output::Acknowledge(done));
        }
    }

    fn device_event(&mut self, ci: &str, event: DeviceEvent) {
        let (Some(detector), Some(excess)) = (event.detector, event.score) else {
            return;
        };
        let rule = self.config.detectors.get(&detector);
        let Some(rule) = rule.and_then(|id| self.rule(id)).cloned() else {
            return;
        };
        let key = (rule.rule.id.clone(), ci.to_owned());
        if self.watches.len() >= self.config.watches_max && !self.watches.contains_key(&key) {
            return;
        }
        let watch = self.watches.entry(key);
        let watch = watch.or_insert_with(|| Watch::new(rule, ci));
        let cause = Cause {
            record: event.cause.unwrap_or_default(),
            detector,
        };
        let score = Score {
            excess,
            fresh: true,
        };
        if let Some(event) = watch.update(self.now.wall, score, cause) {
            self.event(event);
        }
    }

    fn looked_up(
        &mut self,
        of: (&StreamName, Fingerprint),
        answer: Result<Option<Entry>, Unavailable>,
    ) {
        match self.inbox.looked_up(self.now, of, answer) {
            LookedUp::Late | LookedUp::Known => {}
            LookedUp::PutBack { delivery, after } => {
                self.outputs.push_back(Output::Retry { delivery, after });
            }
            LookedUp::Unread(delivery) => {
                self.unread += u64::from(delivery.batch.envelope.count);
                self.done.push(delivery.token);
            }
            LookedUp::Unavailable(error) => self.say(IncidentsEvent::NoSchema { error }),
        }
        self.go_on();
    }

    fn tick(&mut self) {
        if self.again_at.is_some_and(|at| at <= self.now.instant) {
            self.again_at = None;
            if let Some(group) = self.unsettled.front() {
                self.outputs.push_back(Output::Append(group.clone()));
            }
        }
        // A tick that finds no room is not needed: what makes room fires the timers, too.
        if self.leads
            && self
                .itil
                .poll_timeout()
                .is_some_and(|due| due <= self.now.wall)
        {
            let ticked = self.itil.handle_input(self.now.wall, itil::Input::Tick);
            self.pass_on();
            drop(ticked);
        }
        self.offer();
        self.inbox.tick(self.now);
        self.go_on();
    }

    /// A wall time as a deadline.
    fn instant_of(&self, due: Timestamp) -> Instant {
        self.now.instant + due.saturating_since(self.now.wall)
    }

    fn say(&mut self, event: IncidentsEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

impl Machine for Incidents {
    type Event = IncidentsEvent;

    fn handle_input(&mut self, now: Now, input: Input) -> Result<(), Busy> {
        self.now = now;
        match input {
            Input::Delivered(deliveries) => {
                let room = self.room();
                if deliveries.len() > room {
                    return Err(Busy { deliveries, room });
                }
                self.inbox.push(deliveries);
                self.go_on();
            }
            Input::LookedUp {
                subject,
                fingerprint,
                answer,
            } => self.looked_up((&subject, fingerprint), answer),
            Input::Appended { seq, answer } => {
                self.appended(seq, answer);
                self.go_on();
            }
            Input::Tick => self.tick(),
            Input::Registered { .. } | Input::Written(_) | Input::Rejected { .. } => {}
        }
        self.acknowledge();
        Ok(())
    }

    fn poll_output(&mut self) -> Option<Output<IncidentsEvent>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let due = self.itil.poll_timeout().filter(|_| self.leads);
        let due = due.map(|due| self.instant_of(due));
        due.into_iter()
            .chain(self.again_at)
            .chain(self.inbox.due())
            .min()
    }

    fn room(&self) -> usize {
        match self.leads && self.pending.is_empty() && self.inbox.is_empty() && self.done.is_empty()
        {
            true => self.config.group_max,
            false => 0,
        }
    }
}
