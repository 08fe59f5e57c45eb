//! What must hold for any bytes: the fuzz target runs it, too.

use std::io::Write as _;
use std::time::Duration;

use activity::{Activity, FAULTS_MAX};

/// Reads the bytes as a file and panics where a promise is broken.
pub(crate) fn check(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let activity = Activity::file(file.path().to_owned());
    let mut samples = activity.samples().unwrap();
    let (mut serial, mut offset) = (0, Duration::ZERO);
    for sample in samples.by_ref() {
        serial += 1;
        assert_eq!(sample.serial, serial);
        assert!(sample.offset >= offset, "time ran backwards");
        offset = sample.offset;
        let reals = [
            sample.speed,
            sample.distance,
            sample.altitude,
            sample.latitude,
            sample.longitude,
        ];
        assert!(reals.into_iter().flatten().all(f64::is_finite));
        // A sample takes at least a byte; a packed file is a thousand times longer at most.
        assert!(serial <= 1_100 * bytes.len() as u64);
    }
    assert!(samples.next().is_none(), "the end is the end");
    let faults = samples.faults();
    assert!(faults.len() <= FAULTS_MAX);
    assert!(serial > 0 || !faults.is_empty(), "nothing, and no word why");
}
