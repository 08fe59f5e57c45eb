//! What goes wrong in a world, one fault at a time.

use telemetry_transport::SenderInput;
use telemetry_transport::storage::Effect;

use super::{Event, Fault, MS, World};

impl World {
    pub(super) fn count(&mut self, fault: Fault) {
        self.report.injected[fault as usize] += 1;
    }

    pub(super) fn inject(&mut self) {
        let fault = Fault::ALL[self.rng.below(Fault::ALL.len() as u64) as usize];
        match fault {
            Fault::BrokerKill => {
                self.count(fault);
                self.stop_broker();
            }
            Fault::BrokerRestart => {
                self.count(fault);
                // It ends well: what it took is on its disk first.
                let taken: Vec<_> = self
                    .events
                    .extract_if(.., |_, event| matches!(event, Event::Stored { .. }))
                    .collect();
                taken.into_iter().for_each(|(_, event)| self.happen(event));
                self.stop_broker();
            }
            Fault::Reset => {
                self.count(fault);
                self.reset();
            }
            Fault::BlackHole | Fault::ConnectHangs => {
                self.dark_until = self.now + self.rng.below(15_000 * MS);
            }
            Fault::Partition => self.broker.no_majority = !self.broker.no_majority,
            Fault::Latency => {
                self.count(fault);
                self.latency = self.rng.below(800 * MS);
            }
            Fault::Bandwidth => self.transfer = self.rng.below(2) * self.rng.below(3_000 * MS),
            Fault::Blocked if self.broker.blocked => self.unblock(),
            Fault::Blocked => {
                self.count(fault);
                self.broker.blocked = true;
                self.tell(SenderInput::Blocked);
            }
            Fault::Nack => self.broker.refuse = 1 + self.rng.below(4),
            Fault::TooLarge => self.broker.too_large = 1 + self.rng.below(2),
            Fault::Return | Fault::ConfirmAfterReturn => self.broker.no_queue = true,
            Fault::ConfirmLost | Fault::PublishedTwice => {
                self.broker.lose_confirms = 1 + self.rng.below(3);
            }
            // Part of every run.
            Fault::ConfirmOutOfOrder | Fault::SlowOpening => {}
            Fault::DeliveredTwice => self.consumer.lose_acks = 1 + self.rng.below(3),
            Fault::ConsumerKill => self.consumer.dies = true,
            Fault::ConsumerStall => self.consumer.stalled = !self.consumer.stalled,
            Fault::ConnectRefused => self.stop_broker(),
            Fault::WrongPassword => {
                self.broker.wrong_password = true;
                self.reset();
            }
            Fault::KillAfterAppend
            | Fault::KillAfterCommit
            | Fault::KillAfterPublish
            | Fault::KillAfterConfirm
            | Fault::KillAfterCursor => self.kill_at = Some(fault),
            Fault::SpoolOpenedAgain => self.open_again(),
            Fault::PowerCut => self.power_cut(),
            Fault::TornWrite => {
                // Between the write and the sync of a commit of several sectors.
                for _ in 0..12 {
                    self.append();
                }
                self.disk.disk.fail_after(1);
                self.commit();
                self.power_cut();
            }
            Fault::DiskFull => {
                self.count(fault);
                let used = self.disk.disk.used();
                self.disk.disk.set_capacity(used + self.rng.below(2) * 1024);
            }
            Fault::WriteError => {
                self.count(fault);
                self.disk.disk.fail_after(self.rng.below(6));
            }
            Fault::SecondOwner => {
                self.count(fault);
                self.second_owner();
            }
            Fault::NamesError => {
                let effect = [Effect::None, Effect::Done][self.rng.below(2) as usize];
                // No other fault of the disk at the same time: one failure is outlived.
                self.disk.disk.set_capacity(u64::MAX);
                self.disk.disk.fail_after(u64::MAX);
                self.disk.disk.fail_once(self.rng.below(8), effect);
                self.refused = 0;
                for _ in 0..30 {
                    self.append();
                }
                if self.refused > 5 {
                    self.failure = Some("one failure stops the spool for good".to_owned());
                }
            }
            Fault::SyncError => self.disk.disk.fail_sync(self.rng.below(3)),
            Fault::ClockForward => {
                self.count(fault);
                self.ahead += (self.rng.below(3_600_000) * MS).cast_signed();
            }
            Fault::ClockBack => {
                self.count(fault);
                self.ahead -= (self.rng.below(5_000) * MS).cast_signed();
            }
        }
    }

    pub(super) fn power_cut(&mut self) {
        self.count(Fault::PowerCut);
        self.kill();
        let odds = self.rng.below(4);
        let (mut kept, mut lost) = (false, false);
        self.disk.disk.crash(|| {
            let survives = self.rng.below(4) < odds;
            kept |= survives;
            lost |= !survives;
            survives
        });
        if kept && lost {
            self.count(Fault::TornWrite);
        }
    }
}
