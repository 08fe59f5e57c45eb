//! One client's socket: bytes and file descriptors in both directions, without blocking.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::pools::FdPools;
use crate::{ClientId, Handle, Pools as _, Shim};

/// libwayland sends at most as many file descriptors with one message.
const FDS_MAX: usize = 28;
/// Bytes read in one turn, so that no client starves the others.
const READ_BYTES_MAX: usize = 16 * 1024;

pub(super) enum Received {
    Nothing,
    Something,
    End,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    /// Read, and not taken by the shim yet.
    rx: Vec<u8>,
    rx_handles: Vec<Handle>,
    tx: Vec<u8>,
    /// They go with the first byte of `tx`.
    tx_handles: Vec<Handle>,
    closing: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            rx: Vec::new(),
            rx_handles: Vec::new(),
            tx: Vec::new(),
            tx_handles: Vec::new(),
            closing: false,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What the socket shall be polled for.
    pub(super) fn interest(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.rx.is_empty() {
            flags |= PollFlags::IN;
        }
        if !self.tx.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    pub(super) fn received(&self) -> &[u8] {
        &self.rx
    }

    pub(super) fn received_handles(&self) -> &[Handle] {
        &self.rx_handles
    }

    /// The shim has what was received.
    pub(super) fn taken(&mut self) {
        self.rx.clear();
        self.rx_handles.clear();
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    pub(super) fn closing(&self) -> bool {
        self.closing
    }

    /// Closes what the shim never got.
    pub(super) fn abandon(&mut self, pools: &mut FdPools) {
        for handle in self.rx_handles.drain(..) {
            pools.close(handle);
        }
    }

    /// Reads once, unless the shim has not taken what was read before.
    pub(super) fn receive(&mut self, pools: &mut FdPools) -> Received {
        if self.closing {
            return Received::Nothing;
        }
        if !self.rx.is_empty() {
            return Received::Something;
        }
        self.rx.resize(READ_BYTES_MAX, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let outcome = recvmsg(
            &self.stream,
            &mut [IoSliceMut::new(&mut self.rx)],
            &mut ancillary,
            flags,
        );
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.rx_handles.extend(files.map(|f| pools.adopt(f)));
            }
        }
        self.rx.truncate(outcome.as_ref().map_or(0, |m| m.bytes));
        match outcome {
            Ok(_) if self.rx.is_empty() => Received::End,
            Ok(_) => Received::Something,
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::End,
        }
    }

    /// Sends until the shim has no more or the socket is full.
    pub(super) fn send(&mut self, shim: &mut Shim, pools: &FdPools, client: ClientId) {
        loop {
            if self.tx.is_empty() {
                shim.poll_transmit(client, &mut self.tx, &mut self.tx_handles);
            }
            if self.tx.is_empty() {
                return;
            }
            let count = self.tx_handles.len().min(FDS_MAX);
            // Every group of file descriptors needs a byte to go with.
            let bytes = if count < self.tx_handles.len() {
                &self.tx[..1]
            } else {
                &self.tx[..]
            };
            let files: Vec<BorrowedFd<'_>> = self.tx_handles[..count]
                .iter()
                .filter_map(|h| pools.get(*h))
                .collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&files));
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.stream, &[IoSlice::new(bytes)], &mut ancillary, flags) {
                Ok(sent) => {
                    self.tx.drain(..sent);
                    self.tx_handles.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.closing = true;
                    return;
                }
            }
        }
    }
}
