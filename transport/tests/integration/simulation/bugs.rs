//! Planted bugs: each is found, so the simulation would find it in the crate.

use super::world::World;
use super::{Bug, PLANTED_SEEDS};

/// Looks for the first seed that shows the bug.
fn found(bug: Bug) {
    let failure =
        (0..PLANTED_SEEDS).find_map(|seed| Some((seed, World::new(seed, bug).run().err()?)));
    let (seed, failure) = failure.unwrap();
    println!("{bug:?} found at seed {seed}: {failure}");
}

macro_rules! bugs {
    ($($test:ident $bug:ident,)*) => { $(
        #[test]
        fn $test() {
            found(Bug::$bug);
        }
    )* };
}

bugs! {
    an_early_free EarlyFree,
    a_lost_return LostReturn,
    a_lost_nack LostNack,
    a_wrong_watermark WrongWatermark,
    a_confirm_of_another_batch ConfirmOfAnother,
    a_late_confirm LateConfirm,
    a_number_of_two_batches NumberOfTwoBatches,
    a_confirm_of_an_earlier_opening ConfirmOfAnEarlierOpening,
    a_resend_forgotten ResendForgotten,
    a_dedup_without_epoch DedupWithoutEpoch,
    a_dedup_forgotten DedupForgotten,
    an_ack_before_effect AckBeforeEffect,
    a_confirm_before_sync ConfirmBeforeSync,
    a_receipt_before_sync ReceiptBeforeSync,
    a_sync_error_ignored SyncErrorIgnored,
    a_name_that_is_not_synced NamesNotSynced,
    a_rename_that_is_not_repeated RenameOnce,
    two_owners NoLock,
    a_zeroed_sector ZeroedSector,
    a_lost_file FileLost,
}
