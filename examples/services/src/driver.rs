//! Runs a service: carries its outputs out and brings the answers back.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use telemetry_core::{Instant, LogStore, Registry};
use telemetry_storage::{Store, StoreError, Write};
use telemetry_transport::{ConsumeAction, Deliveries, Delivery, Token};

use crate::{Enriched, Input, Machine, Now, Output, Unavailable};

/// Things that a service has to say and nobody has asked for yet, beyond which it gets no deliveries.
const EVENTS_MAX: usize = 4_096;

/// Time, as the program that runs a service has it.
pub trait Clock {
    /// This moment.
    fn now(&self) -> Now;
    /// Returns at `at`, or at once if it has passed.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

/// An answer to the log that did not get through.
enum Answer {
    Acknowledge(Vec<Token>),
    Retry(Box<Delivery>, Duration),
}

/// What ended a wait.
enum Happened<E> {
    Stop,
    Time,
    Group(Result<Vec<Delivery>, E>),
}

/// A service with its consumer and its log; the store is shared, and given with each call.
///
/// A call that returns an error may be made again: what was not carried out is carried out then.
pub struct Driver<M: Machine, D, L> {
    pub machine: M,
    pub deliveries: D,
    /// Its incident log.
    pub log: L,
    events: VecDeque<M::Event>,
    /// Answers that did not get through, in order. What is open at the consumer bounds them.
    unanswered: VecDeque<Answer>,
}

/// Why a driver stops.
#[derive(Debug, thiserror::Error)]
#[error("the consumer cannot go on: {error}")]
pub struct DriveError<E: std::error::Error> {
    /// What it said.
    pub error: E,
    /// Open it again, or change its configuration.
    pub action: ConsumeAction,
}

impl<M: Machine, D: Deliveries, L: LogStore> Driver<M, D, L> {
    /// A driver of `machine`.
    pub const fn new(machine: M, deliveries: D, log: L) -> Self {
        Self {
            machine,
            deliveries,
            log,
            events: VecDeque::new(),
            unanswered: VecDeque::new(),
        }
    }

    /// The next thing that the service has to say. Ask after each call: a service that is not listened
    /// to gets no deliveries in the end.
    pub fn poll_event(&mut self) -> Option<M::Event> {
        self.events.pop_front()
    }

    /// Goes on with a consumer that was opened again: what was not answered comes again there.
    pub fn reopen(&mut self, deliveries: D) {
        self.deliveries = deliveries;
        self.unanswered.clear();
    }

    /// Carries out what the service wants now. Takes no deliveries and waits for none.
    pub async fn carry_out<S>(&mut self, now: Now, store: &S) -> Result<(), DriveError<D::Error>>
    where
        S: Store + Registry<Error = StoreError>,
    {
        while let Some(answer) = self.unanswered.pop_front() {
            if !self.answer(answer).await? {
                break;
            }
        }
        if self
            .machine
            .poll_timeout()
            .is_some_and(|due| due <= now.instant)
        {
            self.give(now, Input::Tick);
        }
        while let Some(output) = self.machine.poll_output() {
            let answer = match output {
                Output::Event(event) => {
                    self.events.push_back(event);
                    continue;
                }
                Output::Acknowledge(tokens) => {
                    self.answer(Answer::Acknowledge(tokens)).await?;
                    continue;
                }
                Output::Retry { delivery, after } => {
                    self.answer(Answer::Retry(Box::new(delivery), after))
                        .await?;
                    continue;
                }
                Output::Reject { delivery, reason } => {
                    let rejected = self.deliveries.reject(&delivery, &reason).await;
                    Input::Rejected {
                        answer: rejected.map_err(|error| D::action(&error)),
                        delivery,
                        reason,
                    }
                }
                Output::Register { subject, schema } => Input::Registered {
                    answer: store.register(&subject, &schema).await.map_err(unavailable),
                    fingerprint: schema.fingerprint(),
                    subject,
                },
                Output::LookUp {
                    subject,
                    fingerprint,
                } => Input::LookedUp {
                    answer: store
                        .lookup(&subject, fingerprint)
                        .await
                        .map_err(unavailable),
                    subject,
                    fingerprint,
                },
                Output::Write(group) => Input::Written(write(store, group).await),
                Output::Append(group) => Input::Appended {
                    seq: group.seq,
                    answer: self.log.append(&group).await.map_err(unavailable),
                },
            };
            self.give(now, answer);
        }
        Ok(())
    }

    /// Takes one group of what is there, without waiting, and carries out what follows; returns how
    /// many deliveries it took.
    pub async fn take_group<S>(
        &mut self,
        now: Now,
        store: &S,
    ) -> Result<usize, DriveError<D::Error>>
    where
        S: Store + Registry<Error = StoreError>,
    {
        self.carry_out(now, store).await?;
        let room = self.room();
        if room == 0 {
            return Ok(0);
        }
        let group = match self.deliveries.next_group(room).now_or_never() {
            None => return Ok(0),
            Some(Ok(group)) => group,
            Some(Err(error)) => {
                self.fault(error)?;
                return Ok(0);
            }
        };
        let taken = group.len();
        self.give(now, Input::Delivered(group));
        self.carry_out(now, store).await?;
        Ok(taken)
    }

    /// Runs the service until `stop` is ready, waiting for deliveries and for its timers.
    ///
    /// `on_event` gets what it has to say, and may give it inputs in return.
    pub async fn run<S, C>(
        &mut self,
        store: &S,
        clock: &C,
        stop: impl Future<Output = ()>,
        mut on_event: impl FnMut(&mut M, Now, M::Event),
    ) -> Result<(), DriveError<D::Error>>
    where
        S: Store + Registry<Error = StoreError>,
        C: Clock,
    {
        /// Time after which a consumer that could not answer is asked again.
        const AGAIN: Duration = Duration::from_secs(1);
        let mut stop = pin!(stop);
        let mut failed = false;
        loop {
            let now = clock.now();
            self.carry_out(now, store).await?;
            if !self.events.is_empty() {
                while let Some(event) = self.events.pop_front() {
                    on_event(&mut self.machine, now, event);
                }
                continue;
            }
            let stuck = std::mem::take(&mut failed) || !self.unanswered.is_empty();
            let again = stuck.then(|| now.instant + AGAIN);
            let due = self.machine.poll_timeout().into_iter().chain(again).min();
            let room = if stuck { 0 } else { self.machine.room() };
            let deliveries = &mut self.deliveries;
            let happened = {
                let timer = pin!(async {
                    match due {
                        Some(due) => clock.sleep_until(due).await,
                        None => pending().await,
                    }
                });
                let next = pin!(async {
                    match room {
                        0 => pending().await,
                        room => deliveries.next_group(room).await,
                    }
                });
                match select(select(next, timer), &mut stop).await {
                    Either::Right(_) => Happened::Stop,
                    Either::Left((Either::Right(_), _)) => Happened::Time,
                    Either::Left((Either::Left((group, _)), _)) => Happened::Group(group),
                }
            };
            match happened {
                Happened::Stop => return self.carry_out(clock.now(), store).await,
                Happened::Time => {}
                Happened::Group(Ok(group)) => self.give(clock.now(), Input::Delivered(group)),
                Happened::Group(Err(error)) => {
                    self.fault(error)?;
                    failed = true;
                }
            }
        }
    }

    /// How many deliveries can be taken now.
    fn room(&self) -> usize {
        match self.events.len() < EVENTS_MAX {
            true => self.machine.room(),
            false => 0,
        }
    }

    fn give(&mut self, now: Now, input: Input) {
        let refused = self.machine.handle_input(now, input);
        // No more is fetched than there is room for.
        debug_assert!(refused.is_ok(), "{refused:?}");
    }

    /// Gives an answer to the log; `false` where it has to be given again later.
    async fn answer(&mut self, answer: Answer) -> Result<bool, DriveError<D::Error>> {
        let given = match &answer {
            Answer::Acknowledge(tokens) => self.deliveries.acknowledge(tokens).await,
            Answer::Retry(delivery, after) => self.deliveries.retry(delivery, *after).await,
        };
        let Err(error) = given else {
            return Ok(true);
        };
        self.unanswered.push_front(answer);
        self.fault(error)?;
        Ok(false)
    }

    /// Passes on what ends the consumer; the rest is tried again.
    fn fault(&self, error: D::Error) -> Result<(), DriveError<D::Error>> {
        match D::action(&error) {
            ConsumeAction::BackOff | ConsumeAction::MakeRoom => Ok(()),
            action => Err(DriveError { error, action }),
        }
    }
}

fn unavailable(error: impl std::error::Error) -> Unavailable {
    Unavailable {
        cause: error.to_string(),
    }
}

async fn write<S: Store>(
    store: &S,
    group: Vec<Enriched>,
) -> Vec<(Enriched, telemetry_storage::Outcome)> {
    let writes: Vec<Write<'_>> = group
        .iter()
        .map(|enriched| Write {
            batch: &enriched.delivery.batch,
            enrichment: &enriched.enrichment,
        })
        .collect();
    let outcomes = store.write(&writes).await;
    assert_eq!(
        outcomes.len(),
        group.len(),
        "a store gives an outcome for each write"
    );
    group.into_iter().zip(outcomes).collect()
}
