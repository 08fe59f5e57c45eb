//! Signals that ask the program to end: the first lets it end well, the second ends it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What a shell adds to a signal's number to say that it ended a program.
const BY_SIGNAL: i32 = 128;

/// Sets `stop` at the first signal. At the second, the process ends at once: what is durable is on
/// the disk, and the next run goes on from there.
///
/// A thread of its own hears them, for as long as the program lives: whatever else stands still, a
/// person can end it.
pub(super) fn watch(stop: watch::Sender<bool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let (sender, ready) = std::sync::mpsc::sync_channel(1);
    thread.spawn(move || {
        runtime.block_on(async move {
            let signals = signal(SignalKind::interrupt())
                .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
            let (mut interrupt, mut terminate) = match signals {
                Ok(signals) => signals,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            let _ = sender.send(Ok(()));
            next(&mut interrupt, &mut terminate).await;
            stop.send_replace(true);
            let number = next(&mut interrupt, &mut terminate).await;
            std::process::exit(BY_SIGNAL + number);
        });
    })?;
    ready.recv().map_err(io::Error::other)?
}

/// The number of the next signal.
async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    let kind = tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    };
    kind.as_raw_value()
}
