//! What goes wrong, when the script says so.

use amq_protocol::protocol::{AMQPClass, basic, connection};
use tokio::time::Instant;

use super::super::queues::Taker;
use super::super::script::{Failure, When};
use super::super::wire::Over;
use super::{Due, Session};

impl Session {
    /// A moment of the script.
    pub(super) fn moment(&mut self, when: When, channel: u16) -> Result<(), Over> {
        let mut state = self.shared.state();
        let Some(failure) = state.script.failures.remove(&when) else {
            return Ok(());
        };
        state.note(failure.name());
        drop(state);
        self.fail(failure, channel)
    }

    /// Lets something fail; a channel that is none is the whole connection.
    pub(super) fn fail(&mut self, failure: Failure, number: u16) -> Result<(), Over> {
        let now = Instant::now();
        match failure {
            Failure::Reset => {
                self.wire.reset();
                return Err(Over);
            }
            Failure::HalfFrame => self.cut = true,
            Failure::Garbage => self.wire.garbage(),
            Failure::Silence(time) => self.silent_until = Some(now + time),
            Failure::CloseChannel(code) if self.channels.contains_key(&number) => {
                self.close_channel(number, code, "as the script says");
            }
            Failure::CloseChannel(code) | Failure::CloseConnection(code) => {
                self.is_closing = true;
                let close = connection::AMQPMethod::Close(connection::Close {
                    reply_code: code,
                    reply_text: "as the script says".into(),
                    class_id: 0,
                    method_id: 0,
                });
                self.wire.method(0, AMQPClass::Connection(close));
            }
            Failure::Block(time) => {
                self.blocked = true;
                let reason = "low on memory".into();
                let blocked = connection::AMQPMethod::Blocked(connection::Blocked { reason });
                self.wire.method(0, AMQPClass::Connection(blocked));
                self.later(now + time, Due::Unblock);
            }
            Failure::CancelConsumers => self.cancel_consumers(),
            Failure::Unbind => self.shared.state().queues.unbind_all(),
            Failure::Crash(time) => {
                self.shared.state().crash(now + time);
                self.wire.reset();
                return Err(Over);
            }
        }
        Ok(())
    }

    pub(super) fn cancel_consumers(&mut self) {
        let number = self.number;
        let is_own = |taker: &Taker| taker.0 == number;
        self.shared.state().queues.cancel(is_own);
        for (number, channel) in &mut self.channels {
            for (tag, _) in std::mem::take(&mut channel.consumers) {
                let cancel = basic::AMQPMethod::Cancel(basic::Cancel {
                    consumer_tag: tag.as_str().into(),
                    nowait: true,
                });
                self.wire.method(*number, AMQPClass::Basic(cancel));
            }
        }
    }
}
