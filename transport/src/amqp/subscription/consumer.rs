//! A subscription behind the contract of every consumer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Delivery, ReceiveError, Subscription};
use crate::{ConsumeAction, Deliveries, Token};

/// A [`Subscription`] as [`Deliveries`]: an answer returns when the broker has got it.
///
/// A queue writes an acknowledgement to its disk some milliseconds later, and AMQP does not say when. A
/// broker that is killed before delivers again, under the same name. Dead letters are durable first.
///
/// A service that runs behind any log or broker takes this one. Each answer waits for a round trip to
/// the broker; who answers batch by batch and wants more of them calls the subscription itself.
#[derive(Debug)]
pub struct Consumer {
    subscription: Subscription,
    /// Handed out and not answered, of the newest link.
    open: BTreeMap<Token, Delivery>,
}

impl Consumer {
    /// Takes a subscription.
    pub fn new(subscription: Subscription) -> Self {
        Self {
            subscription,
            open: BTreeMap::new(),
        }
    }

    /// The subscription, e.g. for its link and its counts.
    pub const fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    fn hand_out(&mut self, delivery: Delivery) -> crate::Delivery {
        let token = Token {
            session: delivery.link,
            number: delivery.tag,
        };
        // What an older link brought comes again. Links are counted up, so it is in front.
        let is_older = |(open, _): (&Token, &Delivery)| open.session != token.session;
        if self.open.first_key_value().is_some_and(is_older) {
            self.open.retain(|open, _| open.session == token.session);
        }
        let handed = crate::Delivery {
            token,
            batch: delivery.batch.clone(),
            redelivered: delivery.redelivered,
            failures: delivery.failures,
        };
        self.open.insert(token, delivery);
        handed
    }
}

impl Deliveries for Consumer {
    type Error = ReceiveError;

    fn action(error: &ReceiveError) -> ConsumeAction {
        match error {
            ReceiveError::LinkLost => ConsumeAction::BackOff,
            ReceiveError::Ended => ConsumeAction::Reopen,
        }
    }

    async fn next_group(&mut self, max: usize) -> Result<Vec<crate::Delivery>, ReceiveError> {
        let first = self.subscription.next().await?;
        let mut group = vec![self.hand_out(first)];
        while group.len() < max
            && let Some(delivery) = self.subscription.next_now()
        {
            group.push(self.hand_out(delivery));
        }
        Ok(group)
    }

    async fn acknowledge(&mut self, tokens: &[Token]) -> Result<(), ReceiveError> {
        let mut some = false;
        for token in tokens {
            if let Some(delivery) = self.open.remove(token) {
                self.subscription.ack(&delivery).await?;
                some = true;
            }
        }
        match some {
            true => self.subscription.flush().await,
            false => Ok(()),
        }
    }

    async fn retry(
        &mut self,
        delivery: &crate::Delivery,
        after: Duration,
    ) -> Result<(), ReceiveError> {
        match self.open.remove(&delivery.token) {
            Some(delivery) => self.subscription.retry(&delivery, after).await,
            None => Ok(()),
        }
    }

    async fn reject(
        &mut self,
        delivery: &crate::Delivery,
        reason: &str,
    ) -> Result<(), ReceiveError> {
        let Some(delivery) = self.open.remove(&delivery.token) else {
            return Ok(());
        };
        self.subscription.reject_durably(&delivery, reason).await?;
        self.subscription.flush().await
    }
}
