//! The service that tells wearers: samples to alerts, alerts to cues, each given or not given.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use telemetry_airpods::{
    self as airpods, Alert, AlertId, Cue, Policy, Reason, RefusalAction, Route, Router, SpokenText,
    Urgency,
};
use telemetry_core::records::{ActivitySample, FeedbackGiven};
use telemetry_core::{DeviceId, Entry, Fingerprint, Instant, StreamName};
use telemetry_transport::Token;

pub use crate::reading::{AnnouncementWait, BuiltInError};
use crate::reading::{Inbox, LookedUp, Next};
use crate::{Busy, Input, Machine, Now, Output, Unavailable};
use rules::{NewAlert, Rules};

/// How the service works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoachingConfig {
    /// The wishes of every wearer.
    pub policy: Policy,
    /// Deliveries taken together; default 256.
    pub group_max: usize,
    /// Longest time that a delivery which was looked at waits for its acknowledgement; default 1 s.
    /// What comes again after a crash is told twice at worst.
    pub acknowledge_every: Duration,
    /// How samples wait whose schema is not registered yet; then they pass unheard.
    pub announcements: AnnouncementWait,
    /// Wearers that are listened to; default 10,000. Samples of others pass unheard, and are
    /// counted.
    pub wearers_max: usize,
    /// Alerts of a wearer that wait while the router is full; default 64. One more ends at once as
    /// [`Ending::Overload`].
    pub pending_max: usize,
}

impl Default for CoachingConfig {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            group_max: 256,
            acknowledge_every: Duration::from_secs(1),
            announcements: AnnouncementWait::default(),
            wearers_max: 10_000,
            pending_max: 64,
        }
    }
}

/// Deliveries that are looked at, beyond which they are acknowledged whatever the time is.
const DONE_MAX: usize = 4_096;

/// How an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It reached the wearer this way.
    Given(Route),
    /// It did not, and why.
    NotGiven(Reason),
    /// It did not: too many waited already.
    Overload,
}

/// What the service has to say.
#[derive(Debug)]
pub enum CoachingEvent {
    /// Samples of a wearer came.
    Heard {
        /// Whose tracker.
        device: DeviceId,
        samples: Vec<ActivitySample>,
    },
    /// There is something that a wearer should know. It ends once, as [`CoachingEvent::Ended`].
    Raised {
        /// Whose tracker.
        device: DeviceId,
        /// What it is.
        alert: Alert,
    },
    /// Play this.
    Cue {
        /// For whom.
        device: DeviceId,
        /// For which alert.
        alert: AlertId,
        /// What. Speech is answered with [`airpods::Input::SpeechDone`].
        cue: Cue,
    },
    /// Stop speaking of an alert; it is not answered any more.
    Stop {
        /// For whom.
        device: DeviceId,
        /// Which alert.
        alert: AlertId,
    },
    /// An alert ended.
    Ended {
        /// Whose it was.
        device: DeviceId,
        alert: AlertId,
        ending: Ending,
        /// What is to be kept of it.
        record: FeedbackGiven,
    },
    /// The registry does not answer; what is there waits.
    Waiting {
        /// What was said.
        error: Unavailable,
    },
}

/// What is known of an alert until it ends.
#[derive(Clone, Debug)]
struct Alive {
    topic: String,
    urgency: Urgency,
}

struct Wearer {
    router: Router,
    rules: Rules,
    /// Alerts that the router has no room for, in order.
    pending: VecDeque<Alert>,
    /// What has not ended. Bounded by the router and by `pending`.
    alive: BTreeMap<AlertId, Alive>,
}

pub struct Coaching {
    config: CoachingConfig,
    inbox: Inbox<ActivitySample>,
    wearers: BTreeMap<DeviceId, Wearer>,
    /// Counts every alert of this service, for ever: no bound of a display ends it.
    next_alert: u64,
    /// Samples of wearers beyond the limit.
    unheard: u64,
    /// Deliveries that are looked at, and when they are acknowledged.
    done: Vec<Token>,
    acknowledge_at: Option<Instant>,
    outputs: VecDeque<Output<CoachingEvent>>,
}

impl Coaching {
    /// A service that has heard nothing.
    pub fn new(config: CoachingConfig) -> Result<Self, BuiltInError> {
        Ok(Self {
            config,
            inbox: Inbox::new(config.announcements)?,
            wearers: BTreeMap::new(),
            next_alert: 0,
            unheard: 0,
            done: Vec::new(),
            acknowledge_at: None,
            outputs: VecDeque::new(),
        })
    }

    /// Alerts so far, which is also the number of the next one.
    pub const fn alerts(&self) -> u64 {
        self.next_alert
    }

    /// Samples that passed unheard: of wearers beyond the limit, or with a schema that nobody knows.
    pub const fn unheard(&self) -> u64 {
        self.unheard
    }

    /// Takes what happens to a wearer: pods that are seen, speech that ends, a call, an
    /// acknowledgement, the clock.
    ///
    /// An answer to something that is over, as of speech that was stopped just as it ended, is
    /// dropped. Alerts are made here alone, so one that is given is dropped too.
    pub fn handle_wearer(&mut self, now: Now, device: DeviceId, input: airpods::Input) {
        if matches!(input, airpods::Input::Alert(_)) {
            return;
        }
        let Some(wearer) = self.wearers.get_mut(&device) else {
            return;
        };
        let refused = wearer.router.handle_input(now.instant, input);
        let is_over = |r: Box<airpods::Refusal>| r.reason.action() == RefusalAction::Drop;
        debug_assert!(refused.map_or_else(is_over, |()| true), "only alerts wait");
        self.settle(now, device);
    }

    /// Acknowledges what was looked at, before the service ends.
    pub fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        if !self.done.is_empty() {
            let done = std::mem::take(&mut self.done);
            self.outputs.push_back(Output::Acknowledge(done));
        }
    }

    /// Looks at what waits, until a schema has to be asked for.
    fn go_on(&mut self, now: Now) {
        while let Some(next) = self.inbox.next() {
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
                    if !records.is_empty() {
                        self.hear(now, device, records);
                    }
                    self.looked_at(now, token);
                }
            }
        }
    }

    /// A delivery is looked at; it is acknowledged soon.
    fn looked_at(&mut self, now: Now, token: Token) {
        self.done.push(token);
        let due = now.instant + self.config.acknowledge_every;
        self.acknowledge_at.get_or_insert(due);
        if self.done.len() >= DONE_MAX || self.config.acknowledge_every.is_zero() {
            self.acknowledge();
        }
    }

    fn hear(&mut self, now: Now, device: DeviceId, samples: Vec<ActivitySample>) {
        if self.wearers.len() >= self.config.wearers_max && !self.wearers.contains_key(&device) {
            self.unheard += samples.len() as u64;
            return;
        }
        let policy = self.config.policy;
        let wearer = self.wearers.entry(device).or_insert_with(|| Wearer {
            router: Router::new(policy),
            rules: Rules::default(),
            pending: VecDeque::new(),
            alive: BTreeMap::new(),
        });
        let mut new = Vec::new();
        for sample in &samples {
            wearer.rules.sample(sample, &mut new);
        }
        self.say(CoachingEvent::Heard { device, samples });
        for alert in new {
            self.raise(now, device, alert);
        }
    }

    fn raise(&mut self, now: Now, device: DeviceId, new: NewAlert) {
        let Some(wearer) = self.wearers.get_mut(&device) else {
            return;
        };
        let alert = Alert {
            id: AlertId(self.next_alert),
            topic: new.topic.to_owned(),
            urgency: new.urgency,
            text: SpokenText(new.text),
            earcon: new.earcon,
            haptic: new.haptic,
        };
        self.next_alert += 1;
        let alive = Alive {
            topic: alert.topic.clone(),
            urgency: alert.urgency,
        };
        wearer.alive.insert(alert.id, alive);
        let overload = wearer.pending.len() >= self.config.pending_max;
        let id = alert.id;
        if !overload {
            wearer.pending.push_back(alert.clone());
        }
        self.say(CoachingEvent::Raised { device, alert });
        if overload {
            self.end(now, device, id, Ending::Overload);
        }
        self.settle(now, device);
    }

    /// Gives the router what it has room for, and passes on what it wants.
    fn settle(&mut self, now: Now, device: DeviceId) {
        loop {
            let Some(wearer) = self.wearers.get_mut(&device) else {
                return;
            };
            let mut refused = None;
            while refused.is_none()
                && let Some(alert) = wearer.pending.pop_front()
            {
                let input = airpods::Input::Alert(alert);
                refused = wearer.router.handle_input(now.instant, input).err();
            }
            if let Some(refusal) = refused
                && let airpods::Input::Alert(alert) = refusal.input
            {
                match refusal.reason.action() {
                    RefusalAction::Wait => wearer.pending.push_front(alert),
                    // Texts and names are made here, within the limits of any policy that can
                    // be lived with; one that cannot still ends.
                    _ => self.end(now, device, alert.id, Ending::Overload),
                }
            }
            if !self.pass_on(now, device) {
                return;
            }
        }
    }

    /// Passes on what a router wants; `true` where an alert ended, so that there may be room.
    fn pass_on(&mut self, now: Now, device: DeviceId) -> bool {
        let mut ended = false;
        while let Some(wearer) = self.wearers.get_mut(&device)
            && let Some(output) = wearer.router.poll_output()
        {
            match output {
                airpods::Output::Cue { alert, cue } => {
                    self.say(CoachingEvent::Cue { device, alert, cue });
                }
                airpods::Output::Stop(alert) => self.say(CoachingEvent::Stop { device, alert }),
                airpods::Output::Given { alert, route } => {
                    ended = true;
                    self.end(now, device, alert, Ending::Given(route));
                }
                airpods::Output::NotGiven { alert, reason } => {
                    ended = true;
                    self.end(now, device, alert, Ending::NotGiven(reason));
                }
            }
        }
        ended
    }

    fn end(&mut self, now: Now, device: DeviceId, alert: AlertId, ending: Ending) {
        let wearer = self.wearers.get_mut(&device);
        let alive = wearer.and_then(|wearer| wearer.alive.remove(&alert));
        debug_assert!(alive.is_some(), "an alert ends once");
        let Some(alive) = alive else {
            return;
        };
        let (routes, reason) = match ending {
            Ending::Given(route) => (route.words().collect::<Vec<_>>().join(" "), None),
            Ending::NotGiven(reason) => (String::new(), Some(reason.as_str())),
            Ending::Overload => (String::new(), Some("overload")),
        };
        let record = FeedbackGiven {
            time: now.wall,
            topic: alive.topic,
            urgency: alive.urgency.as_str().to_owned(),
            routes,
            reason: reason.map(str::to_owned),
        };
        self.say(CoachingEvent::Ended {
            device,
            alert,
            ending,
            record,
        });
    }

    fn looked_up(
        &mut self,
        now: Now,
        of: (&StreamName, Fingerprint),
        answer: Result<Option<Entry>, Unavailable>,
    ) {
        match self.inbox.looked_up(now, of, answer) {
            LookedUp::Late | LookedUp::Known => {}
            LookedUp::PutBack { delivery, after } => {
                self.outputs.push_back(Output::Retry { delivery, after });
            }
            LookedUp::Unread(delivery) => {
                self.unheard += u64::from(delivery.batch.envelope.count);
                self.looked_at(now, delivery.token);
            }
            LookedUp::Unavailable(error) => self.say(CoachingEvent::Waiting { error }),
        }
        self.go_on(now);
    }

    fn tick(&mut self, now: Now) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        self.inbox.tick(now);
        self.go_on(now);
        if is_due(self.acknowledge_at) {
            self.acknowledge();
        }
        let due = self.wearers.iter();
        let due = due.filter(|(_, wearer)| is_due(wearer.router.poll_timeout()));
        let due: Vec<DeviceId> = due.map(|(device, _)| *device).collect();
        for device in due {
            self.handle_wearer(now, device, airpods::Input::Tick);
        }
    }

    fn say(&mut self, event: CoachingEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}

impl Machine for Coaching {
    type Event = CoachingEvent;

    fn handle_input(&mut self, now: Now, input: Input) -> Result<(), Busy> {
        match input {
            Input::Delivered(deliveries) => {
                let room = self.room();
                if deliveries.len() > room {
                    return Err(Busy { deliveries, room });
                }
                self.inbox.push(deliveries);
                self.go_on(now);
            }
            Input::LookedUp {
                subject,
                fingerprint,
                answer,
            } => self.looked_up(now, (&subject, fingerprint), answer),
            Input::Tick => self.tick(now),
            Input::Registered { .. }
            | Input::Written(_)
            | Input::Rejected { .. }
            | Input::Appended { .. } => {}
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Option<Output<CoachingEvent>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let routers = self.wearers.values();
        let routers = routers.filter_map(|wearer| wearer.router.poll_timeout());
        routers
            .chain(self.inbox.due())
            .chain(self.acknowledge_at)
            .min()
    }

    fn room(&self) -> usize {
        match self.inbox.is_empty() {
            true => self.config.group_max,
            false => 0,
        }
    }
}
