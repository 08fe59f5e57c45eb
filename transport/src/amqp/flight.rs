//! Messages on their way: which attempt is answered how.
//!
//! lapin gives a confirmation to the message it belongs to, but a returned message to whichever
//! confirmation comes next. So an answer counts only when every other answer that came before it
//! is known, and returned messages are matched by their own message id.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};
use tokio::sync::Notify;

use super::Message;
use super::link::LinkFailure;
use crate::{BatchId, SendError, SenderInput};

type Answer = lapin::Result<Confirmation>;

struct Attempt {
    id: BatchId,
    attempt: u32,
    message_id: String,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

/// Keys of the attempts that may have an answer, in the order in which they came.
#[derive(Default)]
struct Woken {
    keys: Mutex<Vec<u64>>,
    news: Arc<Notify>,
}

impl Woken {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Note {
    key: u64,
    woken: Arc<Woken>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        let keys = self.woken.keys.lock();
        keys.unwrap_or_else(PoisonError::into_inner).push(self.key);
        self.woken.news.notify_one();
    }
}

/// The attempts of one link.
#[derive(Default)]
pub(super) struct Flight {
    attempts: HashMap<u64, Attempt>,
    last_key: u64,
    woken: Arc<Woken>,
    /// Messages whose bytes the socket took.
    written: Arc<AtomicU64>,
    written_seen: u64,
    answered: Vec<(BatchId, u32, String, Answer)>,
}

impl Flight {
    /// Publishes an attempt: it takes its place on the channel before this returns.
    pub(super) fn publish(
        &mut self,
        channel: &Channel,
        id: BatchId,
        attempt: u32,
        message: &Message,
    ) {
        let message_id = message.properties.message_id();
        let message_id = message_id.as_ref().map_or("", |id| id.as_str()).to_owned();
        let (channel, message) = (channel.clone(), message.clone());
        let written = Arc::clone(&self.written);
        let answer = Box::pin(async move {
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let Message {
                exchange,
                routing_key,
                properties,
                body,
            } = message;
            let confirm = channel
                .basic_publish(exchange, routing_key, options, &body, properties)
                .await?;
            written.fetch_add(1, Ordering::Relaxed);
            confirm.await
        });
        self.last_key += 1;
        self.attempts.insert(
            self.last_key,
            Attempt {
                id,
                attempt,
                message_id,
                answer,
            },
        );
        self.poll(self.last_key);
        if !self.answered.is_empty() {
            // The answer was faster than this: nothing else tells of it.
            self.woken.news.notify_one();
        }
    }

    fn poll(&mut self, key: u64) {
        let Some(attempt) = self.attempts.get_mut(&key) else {
            return;
        };
        let woken = Arc::clone(&self.woken);
        let waker = Waker::from(Arc::new(Note { key, woken }));
        if let Poll::Ready(answer) = attempt
            .answer
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            && let Some(Attempt {
                id,
                attempt,
                message_id,
                ..
            }) = self.attempts.remove(&key)
        {
            self.answered.push((id, attempt, message_id, answer));
        }
    }

    /// Resolves when there may be something to settle.
    pub(super) fn news(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.woken.news).notified_owned()
    }

    /// Everything that is known by now, for the sender; and what broke, after that.
    pub(super) fn settle(&mut self) -> (Vec<SenderInput>, Option<LinkFailure>) {
        // An answer that came before one that is taken here has woken its key before: going on
        // until no key is left finds it.
        loop {
            let keys = self.woken.take();
            if keys.is_empty() {
                break;
            }
            keys.into_iter().for_each(|key| self.poll(key));
        }
        let mut inputs = Vec::new();
        let written = self.written.load(Ordering::Relaxed);
        if written != std::mem::replace(&mut self.written_seen, written) {
            inputs.push(SenderInput::Progress);
        }
        let answers = std::mem::take(&mut self.answered);
        let open = self.attempts.values();
        let open = open.map(|a| (a.id, a.attempt, a.message_id.as_str()));
        let (judged, broken) = judge(&answers, open);
        inputs.extend(judged);
        (inputs, broken)
    }
}

/// What answers mean. All that came before the last of them are among them or were judged before.
///
/// * A returned message is named by its own message id, wherever lapin put it.
/// * A confirmation that carries another message says nothing of its own: lapin may still hold
///   this message's return. The batch counts as refused and comes again; its name makes that
///   harmless.
/// * A confirmation that carries nothing was given when lapin held no return, so a return of its
///   message is among the answers.
fn judge<'a>(
    answers: &[(BatchId, u32, String, Answer)],
    open: impl Iterator<Item = (BatchId, u32, &'a str)>,
) -> (Vec<SenderInput>, Option<LinkFailure>) {
    let mut returned = HashSet::new();
    for (.., answer) in answers {
        if let Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) = answer
            && let Some(id) = message.properties.message_id()
        {
            returned.insert(id.as_str());
        }
    }
    let mut inputs = Vec::with_capacity(answers.len());
    let mut broken = None;
    for (id, attempt, message_id, answer) in answers {
        let (id, attempt) = (*id, *attempt);
        inputs.push(match answer {
            // Which of two attempts came back cannot be told: both come again.
            _ if returned.contains(message_id.as_str()) => {
                SenderInput::Failed(SendError::Returned { id, attempt })
            }
            Ok(Confirmation::Ack(None)) => SenderInput::Confirmed { id, attempt },
            Ok(_) => SenderInput::Failed(SendError::Nacked { id, attempt }),
            Err(error) => {
                // Calls that were waiting say less than the one that the broker answered.
                let failure = LinkFailure::from(error);
                if broken.is_none() || failure.size_limit().is_some() {
                    broken = Some(failure);
                }
                continue;
            }
        });
    }
    // Returned, and the confirmation is still to come.
    let open = open.filter(|(.., message_id)| returned.contains(message_id));
    inputs.extend(
        open.map(|(id, attempt, _)| SenderInput::Failed(SendError::Returned { id, attempt })),
    );
    (inputs, broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    use lapin::BasicProperties;
    use lapin::message::{BasicReturnMessage, Delivery};
    use proptest::prelude::*;
    use telemetry_core::Epoch;

    fn message_id(id: BatchId) -> String {
        format!("message {id}")
    }

    fn returned(id: BatchId) -> BasicReturnMessage {
        let mut delivery = Delivery::mock(0, "".into(), "".into(), false, Vec::new());
        let id = message_id(id).as_str().into();
        delivery.properties = BasicProperties::default().with_message_id(id);
        BasicReturnMessage {
            delivery,
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
        }
    }

    /// lapin as its source says: a confirmation takes the oldest return that waits, whosever.
    #[derive(Default)]
    struct Lapin {
        waiting: VecDeque<BatchId>,
    }

    impl Lapin {
        fn confirm(&mut self, ack: bool) -> Answer {
            let message = self.waiting.pop_front().map(returned);
            Ok(match ack {
                true => Confirmation::Ack(message),
                false => Confirmation::Nack(message),
            })
        }
    }

    proptest! {
        /// Messages that no queue takes are never taken for confirmed, in whatever order the
        /// broker confirms and whenever somebody looks; nothing waits for an answer for ever.
        #[test]
        fn a_returned_message_is_never_confirmed(
            // Per step: publish (with a route or without), confirm one of the open, or look.
            steps in proptest::collection::vec((0_u8..6, any::<u16>()), 1..200)
        ) {
            let (mut lapin, mut answers) = (Lapin::default(), Vec::new());
            // Attempts the broker has not confirmed, and which of them it returned.
            let mut unconfirmed: Vec<(BatchId, u32, bool)> = Vec::new();
            let mut lost: HashSet<(BatchId, u32)> = HashSet::new();
            let mut next = 0;
            let mut again: Vec<(BatchId, u32)> = Vec::new();
            // The sender takes one answer for an attempt.
            let mut settled: HashSet<(BatchId, u32)> = HashSet::new();
            for (step, number) in steps.into_iter().chain([(9, 0)]) {
                match step {
                    0..3 => {
                        let (id, attempt) = again.pop().unwrap_or_else(|| {
                            next += 1;
                            (BatchId::new(Epoch::default(), next), 1)
                        });
                        let is_lost = number % 2 == 0;
                        if is_lost {
                            // The return comes before the confirmation.
                            lapin.waiting.push_back(id);
                            lost.insert((id, attempt));
                        }
                        unconfirmed.push((id, attempt, is_lost));
                    }
                    3..5 if !unconfirmed.is_empty() => {
                        let at = usize::from(number) % unconfirmed.len();
                        let (id, attempt, is_lost) = unconfirmed.remove(at);
                        let answer = lapin.confirm(is_lost || number % 7 != 0);
                        answers.push((id, attempt, message_id(id), answer));
                    }
                    _ => {
                        let names: Vec<_> = unconfirmed
                            .iter()
                            .map(|(id, attempt, _)| (*id, *attempt, message_id(*id)))
                            .collect();
                        let open = names.iter().map(|(id, at, name)| (*id, *at, name.as_str()));
                        let (judged, broken) = judge(&answers, open);
                        prop_assert_eq!(broken, None);
                        prop_assert!(judged.len() >= answers.len());
                        for input in judged {
                            match input {
                                SenderInput::Confirmed { id, attempt } => {
                                    let took = settled.insert((id, attempt));
                                    let is_lost = lost.contains(&(id, attempt));
                                    prop_assert!(!took || !is_lost, "{id} {attempt}");
                                }
                                SenderInput::Failed(
                                    SendError::Returned { id, attempt }
                                    | SendError::Nacked { id, attempt },
                                ) => {
                                    if settled.insert((id, attempt)) {
                                        again.push((id, attempt + 1));
                                    }
                                }
                                other => prop_assert!(false, "{other:?}"),
                            }
                        }
                        answers.clear();
                    }
                }
            }
        }
    }
}
