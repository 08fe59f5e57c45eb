//! A driver that runs by itself in a thread: it waits for deliveries, for its timers and for its end.

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use services::ingest::IngestEvent;
use services::{Clock, Now};
use telemetry_core::Instant;
use telemetry_transport::Limits;

use crate::rig::{House, at};

/// A clock that jumps to whatever is waited for.
struct Jumping(std::cell::Cell<u64>);

impl Clock for Jumping {
    fn now(&self) -> Now {
        at(self.0.get())
    }

    async fn sleep_until(&self, due: Instant) {
        let seconds = due.saturating_since(Instant::from_nanos(0)).as_secs() + 1;
        self.0.set(self.0.get().max(seconds));
    }
}

#[test]
fn a_running_driver_stores_what_comes_and_ends_when_it_is_told_to() {
    let mut house = House::new(Limits::default());
    house.store.lost_answers.store(2, Ordering::Relaxed);
    house.store.registry_faults.store(2, Ordering::Relaxed);
    let (rows, stored) = channel();
    let (stop, stopped) = futures_util::future::abortable(std::future::pending::<()>());
    thread::scope(|scope| {
        let (ingest, store) = (&mut house.ingest, &house.store);
        scope.spawn(move || {
            let clock = Jumping(0.into());
            let end = async {
                let _ = stop.await;
            };
            let run = ingest.run(store, &clock, end, |_, _, event| {
                if let IngestEvent::Stored {
                    new, duplicates, ..
                } = event
                {
                    rows.send(new + duplicates).unwrap();
                }
            });
            pollster::block_on(run).unwrap();
        });
        let batch = telemetry_storage::contract::batch(
            7,
            1,
            1,
            &vec![telemetry_core::records::SchemaAnnouncement::default(); 3],
        );
        house.log.append(&batch).unwrap();
        house.log.commit().unwrap();
        assert_eq!(stored.recv_timeout(Duration::from_secs(60)).unwrap(), 3);
        stopped.abort();
    });
    assert_eq!(house.ingest.deliveries.open(), 0);
}
