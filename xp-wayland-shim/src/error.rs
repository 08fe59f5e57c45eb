//! What can go wrong, by whose fault, and what to do about it.

use alloc::borrow::Cow;

use crate::{ClientId, OutputMode, SourceId};

/// An input was refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The client is not connected, or was disconnected for an error. Drop the input.
    #[error("client {client} is not connected")]
    UnknownClient {
        /// The client named by the input.
        client: ClientId,
    },
    /// Choose another id for the new client.
    #[error("client {client} is connected already")]
    ClientExists {
        /// The id that is taken.
        client: ClientId,
    },
    /// Close the new connection, or raise [`Limits::clients_max`](crate::Limits::clients_max).
    #[error("{max} clients are connected, which is the limit")]
    TooManyClients {
        /// The limit.
        max: usize,
    },
    /// Take outputs with [`Shim::poll_output`](crate::Shim::poll_output), then offer it again.
    #[error("{waiting} outputs wait: take them first")]
    Full {
        /// Outputs in the queue.
        waiting: usize,
    },
    /// The source is closed. The records are stored all the same; drop the input.
    #[error("source {source_id} is not open")]
    UnknownSource {
        /// The source named by the input.
        source_id: SourceId,
    },
    /// A source is resumed once, right after it was opened.
    #[error("source {source_id} was resumed already")]
    Resumed {
        /// The source.
        source_id: SourceId,
    },
    /// A durable serial that no record has: check which source the serial belongs to.
    #[error("serial {serial} of source {source_id} was not received, the last one is {last}")]
    NotReceived {
        /// The source.
        source_id: SourceId,
        /// The serial of the input.
        serial: u64,
        /// The last serial that was received.
        last: u64,
    },
}

telemetry_core::error_codes!(InputError {
    UnknownClient { .. } => 2001,
    ClientExists { .. } => 2002,
    TooManyClients { .. } => 2003,
    Full { .. } => 2004,
    UnknownSource { .. } => 2005,
    Resumed { .. } => 2006,
    NotReceived { .. } => 2007,
});

/// Why a client was disconnected. The other clients go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The client broke the protocol or a limit; it was told so with `wl_display.error`.
    #[error("{interface}@{object}: error {error}: {message}")]
    Protocol {
        /// Interface of the object at fault.
        interface: &'static str,
        /// Id of the object at fault.
        object: u32,
        /// Value of that interface's `error` enum.
        error: u32,
        /// What was wrong.
        message: Cow<'static, str>,
    },
    /// The client does not read: see
    /// [`Limits::transmit_bytes_max`](crate::Limits::transmit_bytes_max).
    #[error("{waiting} bytes wait for the client, at most {max} may")]
    NotReading {
        /// Bytes it has not read.
        waiting: usize,
        /// The limit.
        max: usize,
    },
}

telemetry_core::error_codes!(ClientError {
    Protocol { .. } => 2020,
    NotReading { .. } => 2021,
});

/// A pool cannot be opened, resized or read. Costs the client its connection, nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The memory behind the handle is shorter than the client says.
    #[error("pool holds {available} bytes, {needed} are needed")]
    Truncated {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// The handle cannot be read as memory.
    #[error("pool cannot be read (system error {os_error})")]
    Unreadable {
        /// The system's error number, 0 if there is none.
        os_error: i32,
    },
}

telemetry_core::error_codes!(PoolError {
    Truncated { .. } => 2040,
    Unreadable { .. } => 2041,
});

/// A display cannot take the frame now. The frame is composed again at the next interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("display cannot be drawn to (system error {os_error})")]
pub struct DisplayError {
    /// The system's error number, 0 if there is none.
    pub os_error: i32,
}

telemetry_core::error_codes!(DisplayError => 2060);

/// A frame was not presented; its damage is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The display has another mode than the shim announced to its clients.
    #[error("display is {found}, clients were told {announced}")]
    Mode {
        /// The display's mode.
        found: OutputMode,
        /// The mode given to [`Shim::new`](crate::Shim::new).
        announced: OutputMode,
    },
    /// The display refused; compose again after [`Shim::poll_timeout`](crate::Shim::poll_timeout).
    #[error(transparent)]
    Display(#[from] DisplayError),
}

telemetry_core::error_codes!(ComposeError {
    Mode { .. } => 2061,
    Display(_) => 2062,
});
