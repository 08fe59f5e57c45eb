//! What a connection moves, counted: so slow is told from dead.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd as AsHandle, AsRawFd as AsRawHandle};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket as AsRawHandle, AsSocket as AsHandle};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};

/// Tokio, whose connections are counted.
pub(super) type Kit = RuntimeParts<Tokio, Metered>;

/// A connection that is counted.
pub(super) type Tcp = Counted<<Tokio as Reactor>::TcpStream>;

/// Counts the bytes of one connection, by whichever handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

/// Bytes that the operating system has taken, and given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Meter {
    /// All bytes until now.
    pub(super) fn moved(&self) -> Moved {
        Moved {
            sent: self.0.sent.load(Ordering::Relaxed),
            received: self.0.received.load(Ordering::Relaxed),
        }
    }

    /// What lapin runs a connection on.
    pub(super) fn runtime(&self) -> Runtime<Kit> {
        let tokio = Tokio::current();
        let reactor = Metered {
            tokio: tokio.clone(),
            meter: self.clone(),
        };
        Runtime::new(RuntimeParts::new(tokio, reactor))
    }

    /// What a future comes to; `None` once no byte has moved for `limit`.
    pub(super) async fn while_moving<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut seen = self.moved();
        loop {
            if let Ok(value) = tokio::time::timeout(limit, future.as_mut()).await {
                return Some(value);
            }
            let now = self.moved();
            if std::mem::replace(&mut seen, now) == now {
                return None;
            }
        }
    }
}

/// Tokio's sockets and timers; its connections are counted.
#[derive(Clone, Debug)]
pub(super) struct Metered {
    tokio: Tokio,
    meter: Meter,
}

impl Reactor for Metered {
    type TcpStream = Tcp;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsHandle + AsRawHandle + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.tokio.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let stream = self.tokio.tcp_connect_addr(address);
        let meter = self.meter.clone();
        async move {
            let stream = stream.await?;
            Ok(Counted { stream, meter })
        }
    }
}

/// A stream that is counted.
#[derive(Debug)]
pub(super) struct Counted<S> {
    pub(super) stream: S,
    meter: Meter,
}

/// Adds what was moved.
fn count(sum: &AtomicU64, moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    if let Poll::Ready(Ok(bytes)) = &moved {
        sum.fetch_add(*bytes as u64, Ordering::Relaxed);
    }
    moved
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        count(&self.meter.0.received, read)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read_vectored(cx, buffers);
        count(&self.meter.0.received, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        count(&self.meter.0.sent, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        count(&self.meter.0.sent, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
