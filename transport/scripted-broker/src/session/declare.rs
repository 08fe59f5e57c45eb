//! What a client declares.

use amq_protocol::protocol::{AMQPClass, exchange, queue};

use super::super::State;
use super::super::queues::Refusal;

pub(super) fn declare_exchange(
    state: &mut State,
    method: exchange::AMQPMethod,
) -> Result<Option<AMQPClass>, Refusal> {
    use exchange::AMQPMethod as Method;
    let answer = match method {
        Method::Declare(declare) => {
            let (name, kind) = (declare.exchange.as_str(), declare.kind.as_str());
            let queues = &mut state.queues;
            queues.declare_exchange(name, kind, declare.arguments, declare.passive)?;
            Method::DeclareOk(exchange::DeclareOk {})
        }
        Method::Bind(bind) => {
            let (from, to) = (bind.source.as_str(), bind.destination.as_str());
            let queues = &mut state.queues;
            queues.bind(from, to, false, bind.routing_key.as_str())?;
            Method::BindOk(exchange::BindOk {})
        }
        _ => return Err((540, "NOT_IMPLEMENTED by the scripted broker")),
    };
    Ok(Some(AMQPClass::Exchange(answer)))
}

pub(super) fn declare_queue(
    state: &mut State,
    method: queue::AMQPMethod,
) -> Result<Option<AMQPClass>, Refusal> {
    use queue::AMQPMethod as Method;
    let answer = match method {
        Method::Declare(declare) => {
            let name = declare.queue.as_str();
            let queues = &mut state.queues;
            let (ready, consumers) =
                queues.declare_queue(name, declare.arguments, declare.passive)?;
            Method::DeclareOk(queue::DeclareOk {
                queue: declare.queue,
                message_count: ready,
                consumer_count: consumers,
            })
        }
        Method::Bind(bind) => {
            let (from, to) = (bind.exchange.as_str(), bind.queue.as_str());
            let queues = &mut state.queues;
            queues.bind(from, to, true, bind.routing_key.as_str())?;
            Method::BindOk(queue::BindOk {})
        }
        _ => return Err((540, "NOT_IMPLEMENTED by the scripted broker")),
    };
    Ok(Some(AMQPClass::Queue(answer)))
}
