//! Files that we write, read back.

use std::io::{Cursor, Seek as _, Write as _};
use std::time::Duration;

use activity::{Activity, Sample, Survey, WriteError, write};

fn read(bytes: &[u8]) -> Survey {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Survey::of(&Activity::file(file.path().to_owned()))
}

fn write_file(samples: Vec<Sample>) -> (tempfile::NamedTempFile, u64) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let count = write(&mut file, 1_731_065_600, 2, samples).unwrap();
    file.rewind().unwrap();
    (file, count)
}

#[test]
fn a_real_ride_comes_back_as_it_was() {
    let ride = &Activity::built_in()[0];
    let (file, count) = write_file(ride.samples().unwrap().collect());
    assert_eq!(count, 10_686);
    let copy = Activity::file(file.path().to_owned());
    let (before, after) = (ride.samples().unwrap(), copy.samples().unwrap());
    assert!(before.eq(after));
    let (before, after) = (Survey::of(ride), Survey::of(&copy));
    assert_eq!(after.faults.len(), 0);
    assert_eq!(before.summary, after.summary);
}

#[test]
fn values_are_rounded_and_not_cut_off() {
    let sample = Sample {
        serial: 1,
        time: Some(1_731_065_600),
        altitude: Some(120.599_999),
        speed: Some(5.887_9),
        distance: Some(0.289_999),
        latitude: Some(-33.856_784),
        longitude: Some(151.215_297),
        temperature: Some(-5),
        ..Sample::default()
    };
    let (file, _) = write_file(vec![sample]);
    let copy = Activity::file(file.path().to_owned());
    let copy = copy.samples().unwrap().next().unwrap();
    assert_eq!(copy.altitude, Some(120.6));
    assert_eq!(copy.speed, Some(5.888));
    assert_eq!(copy.distance, Some(0.29));
    assert_eq!(copy.temperature, Some(-5));
    assert!((copy.latitude.unwrap() + 33.856_784).abs() < 1e-7);
    assert!((copy.longitude.unwrap() - 151.215_297).abs() < 1e-7);
}

#[test]
fn what_does_not_fit_is_left_out_and_times_are_counted_from_the_start() {
    let sample = |serial: u64, heart_rate, power| Sample {
        serial,
        offset: Duration::from_secs(serial - 1),
        heart_rate: Some(heart_rate),
        power: Some(power),
        distance: Some(-1.0),
        latitude: Some(91.0),
        ..Sample::default()
    };
    let (file, _) = write_file(vec![sample(1, 300, -5), sample(2, 120, 70_000)]);
    let copy = Activity::file(file.path().to_owned());
    let copy: Vec<Sample> = copy.samples().unwrap().collect();
    assert_eq!(copy[0].time, Some(1_731_065_600));
    assert_eq!(copy[1].time, Some(1_731_065_601));
    let readings = |s: &Sample| (s.heart_rate, s.power, s.distance, s.latitude);
    assert_eq!(readings(&copy[0]), (None, None, None, None));
    assert_eq!(readings(&copy[1]), (Some(120), None, None, None));
}

#[test]
fn nothing_and_a_time_before_fit_are_refused() {
    let mut out = Cursor::new(Vec::new());
    assert!(matches!(write(&mut out, 0, 0, []), Err(WriteError::Empty)));
    let sample = Sample::default();
    let refused = write(&mut out, 631_065_599, 0, [sample]);
    assert!(matches!(
        refused,
        Err(WriteError::Time { time: 631_065_599 })
    ));
}

#[test]
fn the_sport_is_kept() {
    let sample = Sample {
        serial: 1,
        ..Sample::default()
    };
    let mut out = Cursor::new(Vec::new());
    write(&mut out, 1_731_065_600, 5, [sample]).unwrap();
    let summary = read(&out.into_inner()).summary;
    assert_eq!(summary.sport.as_deref(), Some("swimming"));
}
