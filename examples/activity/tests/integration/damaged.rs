//! Files with bytes changed, cut off and put in.

use proptest::prelude::*;

use crate::checks::check;
use crate::data;

/// Files that between them have every kind of message that is read.
const FILES: [&str; 10] = [
    "fit/ok-basic.fit",
    "fit/ok-big-endian.fit",
    "fit/chained.fit",
    "fit/compressed-distance.fit",
    "fit/crashed-size-zero.fit",
    "fit/dev-late-description.fit",
    "fit/dev-override-hr.fit",
    "fit/enhanced-array.fit",
    "fit/hr-messages.fit",
    "fit/basic.fit.gz",
];

#[expect(clippy::disallowed_methods, reason = "small files of our own")]
fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_file_breaks_the_reader(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        twice in any::<bool>(),
    ) {
        let mut bytes = bytes(FILES[file]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if twice {
            bytes = bytes.repeat(2);
        }
        check(&bytes);
    }
}

#[test]
fn every_single_byte_of_the_header_and_the_definitions_may_be_anything() {
    let good = bytes("fit/dev-override-hr.fit");
    for at in 0..180 {
        for value in [0, 1, 0x40, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            check(&bytes);
        }
    }
}

#[test]
fn a_file_of_many_parts_takes_no_more_stack_than_one() {
    check(&bytes("fit/only-file-id.fit").repeat(20_000));
    check(&bytes("fit/wrong-crc.fit").repeat(40));
}
