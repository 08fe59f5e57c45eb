//! The whole way of a record under every fault the cores can see, from a seed.
//!
//! Spool and sender are the real ones; disk, link, broker and consumer are models. After the
//! faults every durable receipt has to be at the consumer, exactly once in effect.
#![expect(clippy::print_stdout, reason = "a test says what it did")]

mod broker;
mod bugs;
mod device;
mod fault;
mod world;

use fault::Fault;
use world::World;

/// What is done wrong on purpose, to show that the simulation sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// What is sent counts as delivered.
    EarlyFree,
    /// A returned batch counts as confirmed.
    LostReturn,
    /// A refused batch counts as confirmed.
    LostNack,
    /// One confirmation confirms everything before it.
    WrongWatermark,
    /// A confirmation is taken for another batch.
    ConfirmOfAnother,
    /// The confirmation that follows a return is taken for the next attempt.
    LateConfirm,
    /// A batch is named by its number alone, which the next opening gives again: what is offered
    /// under it is dropped as known.
    NumberOfTwoBatches,
    /// The confirmation of a batch that an earlier opening handed out is taken for the batch that has
    /// its number now.
    ConfirmOfAnEarlierOpening,
    /// A new link gets only what is new.
    ResendForgotten,
    /// The consumer knows records by stream and number alone.
    DedupWithoutEpoch,
    /// The consumer forgets what it has when it starts again.
    DedupForgotten,
    /// The consumer acknowledges before it has the batch for good.
    AckBeforeEffect,
    /// The broker confirms what is in its memory.
    ConfirmBeforeSync,
    /// A receipt is given before the sync.
    ReceiptBeforeSync,
    /// A failed sync passes for one that worked.
    SyncErrorIgnored,
    /// Names of files are never made durable.
    NamesNotSynced,
    /// A rename makes its name durable itself, and where that fails it cannot be repeated.
    RenameOnce,
    /// A second process opens the spool of one that lives.
    NoLock,
    /// The disk forgets a sector that it had synced, and reads zeros.
    ZeroedSector,
    /// The disk forgets a file that it had synced.
    FileLost,
}

/// Inputs of a run until the faults end.
const INPUTS: u64 = 200;

/// Seeds in the test run.
const SEEDS: u64 = 10_000;

/// Seeds within which a planted bug is found.
const PLANTED_SEEDS: u64 = 1_000;

#[test]
fn every_receipt_arrives_once() {
    let mut injected = [0; Fault::ALL.len()];
    let (mut inputs, mut receipts) = (0, 0);
    for seed in 0..SEEDS {
        match World::new(seed, Bug::None).run() {
            Ok(report) => {
                assert!(report.inputs >= INPUTS, "seed {seed}: {}", report.inputs);
                inputs += report.inputs;
                receipts += report.receipts;
                let faults = injected.iter_mut().zip(report.injected);
                faults.for_each(|(sum, n)| *sum += n);
            }
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
    println!("{SEEDS} seeds, {inputs} inputs, {receipts} durable receipts, each once in effect");
    for (fault, count) in Fault::ALL.iter().zip(injected) {
        println!("{count:>9} {fault:?}");
    }
    for (fault, count) in Fault::ALL.iter().zip(injected) {
        assert!(count > 0, "{fault:?} was never injected");
    }
}
