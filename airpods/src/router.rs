//! Decides how, when and whether an alert reaches the wearer, and says why not.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use telemetry_core::{Instant, Timestamp};

use crate::alert::{
    Alert, AlertId, AlertLevel, Cue, Input, Output, Reason, Route, SpokenText, Urgency,
};
use crate::pods::Pods;
use crate::policy::{Policy, Rate, repeat_after, time_to_live};

/// One alert on its way, perhaps standing for several.
#[derive(Clone, Debug)]
struct Item {
    alert: Alert,
    at: Instant,
    count: u32,
}

impl Item {
    fn expires(&self) -> Option<Instant> {
        time_to_live(self.alert.urgency).map(|ttl| self.at + ttl)
    }
}

#[derive(Clone, Debug)]
struct Critical {
    item: Item,
    /// How often it was tried.
    tries: u32,
    given: bool,
    next: Instant,
}

#[derive(Clone, Debug)]
struct Topic {
    bucket: Bucket,
    used: Instant,
    /// While set, further alerts wait in `held` until then.
    until: Option<Instant>,
    held: Vec<Item>,
}

/// Tokens kept as the time from which the next one is whole.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u32,
    since: Instant,
}

impl Bucket {
    const fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            since: now,
        }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        while self.tokens < rate.burst && now.saturating_since(self.since) >= rate.every {
            self.tokens += 1;
            self.since = self.since + rate.every;
        }
        if self.tokens >= rate.burst {
            self.since = now;
        }
    }
}

#[derive(Clone, Debug)]
struct Speaking {
    item: Item,
    route: Route,
    began: Instant,
}

/// What the moment allows.
enum Verdict {
    Play(Route, AlertLevel),
    Refuse(Reason),
}

/// The policy engine. Every alert ends once: [`Output::Given`] or [`Output::NotGiven`].
#[derive(Debug)]
pub struct Router {
    policy: Policy,
    now: Instant,
    pods: Pods,
    haptic: bool,
    tracker: bool,
    in_call: bool,
    clock: Option<(Instant, Timestamp, i32)>,
    global: Option<Bucket>,
    topics: BTreeMap<String, Topic>,
    /// Admitted and waiting for the voice.
    queue: Vec<Item>,
    voice: Option<Speaking>,
    criticals: Vec<Critical>,
    outputs: VecDeque<Output>,
}

impl Router {
    /// A router that has seen nothing.
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: Instant::from_nanos(0),
            pods: Pods {
                seen: None,
                worn_at: None,
            },
            haptic: false,
            tracker: false,
            in_call: false,
            clock: None,
            global: None,
            topics: BTreeMap::new(),
            queue: Vec::new(),
            voice: None,
            criticals: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input at `now`; a `now` before the last one stands still.
    ///
    /// # Errors
    /// The input is refused, changes nothing and comes back with the reason. An alert that is
    /// refused has no ending.
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Result<(), Box<Refusal>> {
        self.now = self.now.max(now);
        self.fire_timers();
        let result = match self.refuses(&input) {
            Some(reason) => Err(Box::new(Refusal { reason, input })),
            None => {
                self.take(input);
                Ok(())
            }
        };
        self.pump();
        result
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`] if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let windows = self.topics.values().filter_map(|t| t.until);
        let expiries = self.queue.iter().filter_map(Item::expires);
        let voice = self.voice.iter().map(|s| self.voice_ends(s));
        let repeats = self.criticals.iter().map(|c| c.next);
        windows.chain(expiries).chain(voice).chain(repeats).min()
    }

    /// Why an input cannot be taken as things are.
    fn refuses(&self, input: &Input) -> Option<InputError> {
        match input {
            Input::Alert(alert) => self.refuses_alert(alert),
            Input::SpeechDone(id) => {
                let spoken = self.voice.as_ref().is_some_and(|s| s.item.alert.id == *id);
                (!spoken).then_some(InputError::UnknownAlert { id: *id })
            }
            Input::Ack(id) => {
                let waits = self.criticals.iter().any(|c| c.item.alert.id == *id);
                (!waits).then_some(InputError::UnknownAlert { id: *id })
            }
            _ => None,
        }
    }

    fn refuses_alert(&self, alert: &Alert) -> Option<InputError> {
        let limits = self.policy.limits;
        for (field, text, max) in [
            ("topic", &alert.topic, limits.topic_bytes_max),
            ("text", &alert.text.0, limits.text_bytes_max),
        ] {
            if text.is_empty() || text.len() > max {
                let len = text.len();
                return Some(InputError::TextLength { field, len, max });
            }
        }
        if self.alive().any(|i| i.alert.id == alert.id) {
            return Some(InputError::DuplicateAlert { id: alert.id });
        }
        let full = self.alive().count() >= limits.alerts_max;
        let max = limits.alerts_max;
        (full && self.least_below(alert.urgency).is_none()).then_some(InputError::Full { max })
    }

    /// Takes an input that is not refused.
    fn take(&mut self, input: Input) {
        match input {
            Input::Alert(alert) => self.accept(alert),
            Input::PodsSeen { frame, rssi } => {
                self.pods.observe(&self.policy, self.now, frame, rssi);
            }
            Input::Devices { haptic, tracker } => {
                self.haptic = haptic;
                self.tracker = tracker;
            }
            Input::CallState { in_call } => self.in_call = in_call,
            Input::SpeechDone(id) => {
                if let Some(spoken) = self.voice.take_if(|s| s.item.alert.id == id) {
                    self.given(&spoken.item.alert, spoken.route);
                }
            }
            Input::Ack(id) => self.acknowledge(id),
            Input::Clock {
                wall,
                offset_seconds,
            } => self.clock = Some((self.now, wall, offset_seconds)),
            Input::Tick => {}
        }
    }

    fn acknowledge(&mut self, id: AlertId) {
        let at = self.criticals.iter().position(|c| c.item.alert.id == id);
        let Some(critical) = at.map(|at| self.criticals.remove(at)) else {
            return;
        };
        if critical.given {
            return;
        }
        match self.voice.take_if(|s| s.item.alert.id == id) {
            // Heard enough to answer.
            Some(Speaking { route, .. }) => {
                self.outputs.push_back(Output::Stop(id));
                self.outputs.push_back(Output::Given { alert: id, route });
            }
            None => self.refuse(id, Reason::Acknowledged),
        }
    }

    fn accept(&mut self, alert: Alert) {
        if self.alive().count() >= self.policy.limits.alerts_max {
            self.displace(alert.urgency);
        }
        let item = Item {
            at: self.now,
            count: 1,
            alert,
        };
        if item.alert.urgency == Urgency::Critical {
            self.criticals.push(Critical {
                item,
                tries: 0,
                given: false,
                next: self.now,
            });
            self.fire_timers();
            return;
        }
        let now = self.now;
        let window = now + self.policy.coalesce;
        let topic = self.topic(&item.alert.topic);
        topic.used = now;
        if topic.until.is_some() {
            topic.held.push(item);
        } else {
            topic.until = Some(window);
            self.admit(item);
        }
    }

    fn alive(&self) -> impl Iterator<Item = &Item> {
        let held = self.topics.values().flat_map(|t| &t.held);
        let voice = self.voice.iter().map(|s| &s.item);
        let criticals = self.criticals.iter().map(|c| &c.item);
        self.queue.iter().chain(held).chain(voice).chain(criticals)
    }

    /// The waiting alert that gives way to something of `urgency`: the least urgent below it, the
    /// oldest of equals.
    fn least_below(&self, urgency: Urgency) -> Option<AlertId> {
        let held = self.topics.values().flat_map(|t| &t.held);
        let below = self.queue.iter().chain(held);
        let below = below.filter(|i| i.alert.urgency < urgency);
        let least = below.min_by_key(|i| (i.alert.urgency, i.at));
        least.map(|i| i.alert.id)
    }

    fn displace(&mut self, urgency: Urgency) {
        let Some(id) = self.least_below(urgency) else {
            return;
        };
        self.queue.retain(|i| i.alert.id != id);
        for topic in self.topics.values_mut() {
            topic.held.retain(|i| i.alert.id != id);
        }
        self.refuse(id, Reason::Displaced);
    }

    fn topic(&mut self, name: &str) -> &mut Topic {
        if !self.topics.contains_key(name) && self.topics.len() >= self.policy.limits.topics_max {
            // One that holds nothing, if there is one; else what it holds is told now.
            let oldest = self
                .topics
                .iter()
                .min_by_key(|(_, t)| (!t.held.is_empty(), t.used))
                .map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.release(&oldest);
                self.topics.remove(&oldest);
            }
        }
        let (rate, now) = (self.policy.per_topic, self.now);
        self.topics.entry(name.into()).or_insert_with(|| Topic {
            bucket: Bucket::full(rate, now),
            used: now,
            until: None,
            held: Vec::new(),
        })
    }

    /// Ends the window of a topic: what was held is told as one.
    fn release(&mut self, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        topic.until = None;
        let mut held = core::mem::take(&mut topic.held);
        // The gravest stands for all, the oldest of equals.
        let Some(at) = (0..held.len()).max_by_key(|i| (held[*i].alert.urgency, held.len() - i))
        else {
            return;
        };
        topic.until = Some(self.now + self.policy.coalesce);
        let mut leader = held.remove(at);
        let count = u32::try_from(held.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        if count > 1 {
            leader.count = count;
            leader.alert.text = SpokenText(format!("{count} alerts from {name}"));
        }
        let into = leader.alert.id;
        let reason = if self.admit(leader) {
            Reason::Coalesced { into, count }
        } else {
            Reason::RateLimited
        };
        for item in held {
            self.refuse(item.alert.id, reason);
        }
    }

    /// Takes the tokens of an alert below critical and plays or queues it.
    fn admit(&mut self, item: Item) -> bool {
        let now = self.now;
        let global = self
            .global
            .get_or_insert(Bucket::full(self.policy.global, now));
        global.refill(self.policy.global, now);
        let topic = self.topics.get_mut(&item.alert.topic).map(|t| {
            t.bucket.refill(self.policy.per_topic, now);
            &mut t.bucket
        });
        match topic {
            Some(topic) if topic.tokens > 0 && global.tokens > 0 => {
                topic.tokens -= 1;
                global.tokens -= 1;
            }
            _ => {
                self.refuse(item.alert.id, Reason::RateLimited);
                return false;
            }
        }
        self.queue.push(item);
        self.pump();
        true
    }

    /// Plays what waits, the gravest first, until one has to wait for the voice.
    fn pump(&mut self) {
        loop {
            let next = (0..self.queue.len()).min_by_key(|i| {
                (
                    core::cmp::Reverse(self.queue[*i].alert.urgency),
                    self.queue[*i].at,
                )
            });
            let Some(at) = next else { return };
            let item = &self.queue[at];
            let verdict = self.verdict(item.alert.urgency);
            let waits = matches!(verdict, Verdict::Play(Route { voice: true, .. }, _))
                && self
                    .voice
                    .as_ref()
                    .is_some_and(|s| s.item.alert.urgency >= item.alert.urgency);
            if waits {
                return;
            }
            let item = self.queue.remove(at);
            match verdict {
                Verdict::Refuse(reason) => self.refuse(item.alert.id, reason),
                Verdict::Play(route, level) => self.play(item, route, level),
            }
        }
    }

    /// The decision table; the first line that fits.
    fn verdict(&self, urgency: Urgency) -> Verdict {
        use Urgency::{Critical, Warning};
        let worn = self.pods.is_worn(&self.policy, self.now);
        let in_call = self.in_call || self.pods.in_call(&self.policy, self.now);
        let quiet =
            self.is_quiet() && !(urgency == Critical && self.policy.critical_overrides_quiet);
        let level = if urgency == Critical {
            AlertLevel::High
        } else {
            AlertLevel::Mild
        };
        // The tracker buzzes where no phone or watch can.
        let touch = Route {
            haptic: self.haptic,
            tracker: self.tracker && !self.haptic,
            ..Route::default()
        };
        let route = match urgency {
            _ if quiet && urgency < Warning => return Verdict::Refuse(Reason::QuietHours),
            _ if quiet => touch,
            _ if in_call && urgency < Warning => return Verdict::Refuse(Reason::InCall),
            Critical if in_call => Route {
                earcon: worn,
                ..touch
            },
            _ if in_call => touch,
            Critical if worn => Route {
                voice: true,
                earcon: true,
                ..touch
            },
            _ if worn => Route {
                voice: true,
                earcon: true,
                ..Route::default()
            },
            _ if urgency < Warning => return Verdict::Refuse(Reason::PodsNotWorn),
            _ => Route {
                haptic: self.haptic,
                tracker: self.tracker,
                ..Route::default()
            },
        };
        if route == Route::default() {
            return Verdict::Refuse(Reason::NoModality);
        }
        Verdict::Play(route, level)
    }

    /// Emits the cues. The voice, where the route has it, is free or taken from something lesser.
    fn play(&mut self, item: Item, route: Route, level: AlertLevel) {
        let alert = item.alert.id;
        let mut cue = |cue| self.outputs.push_back(Output::Cue { alert, cue });
        if route.tracker {
            cue(Cue::TrackerAlert { level });
        }
        if route.haptic {
            cue(Cue::Haptic(item.alert.haptic));
        }
        if route.voice {
            self.preempt();
        }
        let mut cue = |cue| self.outputs.push_back(Output::Cue { alert, cue });
        if route.earcon {
            cue(Cue::Earcon(item.alert.earcon));
        }
        if !route.voice {
            self.given(&item.alert, route);
            return;
        }
        cue(Cue::Speak {
            text: item.alert.text.clone(),
            urgency: item.alert.urgency,
            count: item.count,
        });
        self.voice = Some(Speaking {
            item,
            route,
            began: self.now,
        });
    }

    fn preempt(&mut self) {
        let Some(Speaking { item, .. }) = self.voice.take() else {
            return;
        };
        let id = item.alert.id;
        self.outputs.push_back(Output::Stop(id));
        if self.now.saturating_since(item.at) < self.policy.resume_within {
            self.queue.push(item);
        } else {
            self.refuse(id, Reason::Preempted);
        }
    }

    /// Ends an alert as given; a critical one ends at its first time.
    fn given(&mut self, alert: &Alert, route: Route) {
        if alert.urgency == Urgency::Critical {
            let critical = self
                .criticals
                .iter_mut()
                .find(|c| c.item.alert.id == alert.id);
            // Told before: it has its ending.
            let Some(critical) = critical.filter(|c| !c.given) else {
                return;
            };
            critical.given = true;
        }
        let alert = alert.id;
        self.outputs.push_back(Output::Given { alert, route });
    }

    fn refuse(&mut self, alert: AlertId, reason: Reason) {
        self.outputs.push_back(Output::NotGiven { alert, reason });
    }

    fn fire_timers(&mut self) {
        let now = self.now;
        if let Some(spoken) = self.voice.take() {
            if self.voice_ends(&spoken) <= now {
                self.given(&spoken.item.alert, spoken.route);
            } else {
                self.voice = Some(spoken);
            }
        }
        let due = |c: &Critical| c.next <= now;
        while let Some(at) = self.criticals.iter().position(due) {
            self.tell_critical(at);
        }
        let expired = |i: &Item| i.expires().is_some_and(|at| at <= now);
        while let Some(at) = self.queue.iter().position(expired) {
            let item = self.queue.remove(at);
            self.refuse(item.alert.id, Reason::Expired);
        }
        loop {
            let due = self
                .topics
                .iter()
                .find(|(_, t)| t.until.is_some_and(|until| until <= now))
                .map(|(name, _)| name.clone());
            let Some(name) = due else { return };
            self.release(&name);
        }
    }

    fn voice_ends(&self, speaking: &Speaking) -> Instant {
        speaking.began + self.policy.limits.speech_max
    }

    fn tell_critical(&mut self, at: usize) {
        let critical = &mut self.criticals[at];
        critical.next = self.now + repeat_after(critical.tries);
        critical.tries = critical.tries.saturating_add(1);
        let item = critical.item.clone();
        // With no way at all it stays unanswered and is tried again.
        let Verdict::Play(mut route, level) = self.verdict(Urgency::Critical) else {
            return;
        };
        // Two critical voices would drown each other: the later one sounds and buzzes.
        let busy = |s: &Speaking| s.item.alert.urgency == Urgency::Critical;
        route.voice &= !self.voice.as_ref().is_some_and(busy);
        self.play(item, route, level);
    }

    fn is_quiet(&self) -> bool {
        let (Some(quiet), Some((mark, wall, offset))) = (self.policy.quiet, self.clock) else {
            return false;
        };
        let wall = wall + self.now.saturating_since(mark);
        let local = wall.as_micros().div_euclid(1_000_000) + i64::from(offset);
        let minute = local.rem_euclid(86_400) / 60;
        u16::try_from(minute).is_ok_and(|m| quiet.contains(m))
    }
}

/// An input that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// Offer it again after an alert has ended.
    Wait,
    /// Drop it: it answers something that is over. Speech that ends just as it is stopped does so.
    Drop,
    /// Change it: as it is, it will never be taken.
    Change,
}

/// Why an input was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Fill or shorten the field.
    #[error("{field} has {len} bytes, 1 to {max} are allowed")]
    TextLength {
        /// Name of the field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit, as [`Limits`](crate::Limits) has it.
        max: usize,
    },
    /// An alert of this name is on its way: choose another name.
    #[error("alert {} is on its way already", id.0)]
    DuplicateAlert {
        /// Id of the alert.
        id: AlertId,
    },
    /// Nothing less urgent waits that could give way: acknowledge, or wait for an ending.
    #[error("{max} alerts are on their way, none less urgent")]
    Full {
        /// The limit, as [`Limits`](crate::Limits) has it.
        max: usize,
    },
    /// It has ended, or was never there; nothing is to be done.
    #[error("alert {} is not waiting for this", id.0)]
    UnknownAlert {
        /// Id of the alert.
        id: AlertId,
    },
}

impl InputError {
    /// What to do about it.
    pub const fn action(&self) -> RefusalAction {
        match self {
            Self::Full { .. } => RefusalAction::Wait,
            Self::UnknownAlert { .. } => RefusalAction::Drop,
            Self::TextLength { .. } | Self::DuplicateAlert { .. } => RefusalAction::Change,
        }
    }
}

telemetry_core::error_codes!(InputError {
    TextLength { .. } => 6011,
    DuplicateAlert { .. } => 6012,
    Full { .. } => 6013,
    UnknownAlert { .. } => 6014,
});
