//! Frames on a socket.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amq_protocol::frame::{
    AMQPContentHeader, AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame,
};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::AMQPProperties as BasicProperties;
use tokio::net::TcpStream;

/// Bytes that a frame adds to its payload.
const FRAME_OVERHEAD: usize = 8;

/// The connection is over: what ends it drops the socket.
#[derive(Debug)]
pub(super) struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Where the last frame of the output begins.
    last: usize,
    pub(super) frame_bytes_max: usize,
    /// Frames so far, in both directions.
    frames: Arc<AtomicU64>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, frames: Arc<AtomicU64>) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            last: 0,
            frame_bytes_max: 4_096,
            frames,
        }
    }

    pub(super) fn push(&mut self, frame: &AMQPFrame) {
        self.last = self.output.len();
        let context = WriteContext::from(Vec::new());
        // Into memory: nothing fails but a method that is too large, and there is none.
        if let Ok(written) = gen_frame(frame)(context) {
            self.output.extend(written.write);
        }
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn method(&mut self, channel: u16, method: AMQPClass) {
        self.push(&AMQPFrame::Method(channel, method));
    }

    /// A method with a message.
    pub(super) fn content(
        &mut self,
        channel: u16,
        method: AMQPClass,
        properties: BasicProperties,
        body: &[u8],
    ) {
        self.method(channel, method);
        let header = AMQPContentHeader {
            class_id: 60,
            body_size: body.len() as u64,
            properties,
        };
        self.push(&AMQPFrame::Header(channel, header));
        for piece in body.chunks(self.frame_bytes_max - FRAME_OVERHEAD) {
            self.push(&AMQPFrame::Body(channel, piece.to_vec()));
        }
    }

    pub(super) fn garbage(&mut self) {
        self.output.extend([0xff; 16]);
    }

    /// Leaves half of the last frame.
    pub(super) fn cut(&mut self) {
        if self.last >= self.output.len() {
            self.push(&AMQPFrame::Heartbeat);
        }
        let half = (self.output.len() - self.last) / 2;
        self.output.truncate(self.last + half);
    }

    /// Writes what is there.
    pub(super) async fn flush(&mut self) -> Result<(), Over> {
        let mut at = 0;
        while at < self.output.len() {
            self.stream.writable().await?;
            match self.stream.try_write(&self.output[at..]) {
                Ok(len) => at += len,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.output.clear();
        self.last = 0;
        Ok(())
    }

    /// Waits for more bytes. Cancel safe.
    pub(super) async fn read(&mut self) -> Result<(), Over> {
        let mut buffer = [0; 16 << 10];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(Over),
                Ok(len) => {
                    self.input.extend_from_slice(&buffer[..len]);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The next frame that came in whole.
    pub(super) fn next(&mut self) -> Result<Option<AMQPFrame>, Over> {
        let (rest, frame) = match parse_frame(self.input.as_slice()) {
            Ok((rest, frame)) => (rest.len(), frame),
            Err(error) if error.is_incomplete() => return Ok(None),
            Err(_) => return Err(Over),
        };
        self.input.drain(..self.input.len() - rest);
        self.frames.fetch_add(1, Ordering::Relaxed);
        match frame {
            AMQPFrame::ProtocolHeader(version) if version != ProtocolVersion::amqp_0_9_1() => {
                Err(Over)
            }
            frame => Ok(Some(frame)),
        }
    }

    /// Lets the drop of the socket reset it.
    pub(super) fn reset(&self) {
        // It may be closed already.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}
