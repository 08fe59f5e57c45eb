//! Each file of `testdata/fit` and `testdata/fit-bad`, with what is right.

use std::io::Write as _;
use std::path::PathBuf;

use activity::{Activity, ContentId, Fault, Format, Sample, Survey};

use crate::{data, said, samples, survey};

/// The samples of `ok-basic.fit`.
fn basic() -> Vec<Sample> {
    samples("fit/ok-basic.fit")
}

#[test]
fn the_common_values_are_read() {
    let samples = basic();
    assert_eq!(samples.len(), 20);
    for (index, sample) in samples.iter().enumerate() {
        let n = index as i32;
        assert_eq!(sample.time, Some(1_731_065_600 + i64::from(n)));
        assert_eq!(sample.heart_rate, Some(120 + n));
        assert_eq!(sample.power, Some(200 + n));
        assert_eq!(sample.cadence, Some(85));
        assert_eq!(sample.speed, Some((10_000.0 + f64::from(n)) / 1000.0));
        assert_eq!(sample.distance, Some(10.0 * f64::from(n)));
        assert_eq!(sample.altitude, Some(120.0 + f64::from(n)));
        assert_eq!(sample.temperature, Some(21));
        assert!((sample.latitude.unwrap() - 47.5).abs() < 0.001);
        assert!((sample.longitude.unwrap() + 122.25).abs() < 0.001);
    }
}

/// Files that are read whole and without a word, with the number of samples.
#[test]
fn what_is_right_is_read_without_a_word() {
    for (name, count) in [
        ("ok-basic.fit", 20),
        ("ok-big-endian.fit", 20),
        ("bad-utf8-name.fit", 20),
        ("basic.fit.gz", 20),
        ("chained.fit", 40),
        ("compressed-distance.fit", 21),
        ("course.fit", 20),
        ("dev-heart_rate-percent.fit", 20),
        ("dev-late-description.fit", 20),
        ("dev-override-hr.fit", 20),
        ("dev-speed-kmh.fit", 20),
        ("enhanced-array.fit", 20),
        ("enhanced-mixed.fit", 20),
        ("gap-23h.fit", 20),
        ("gap-3days.fit", 20),
        ("header-12.fit", 20),
        ("header-crc-zero.fit", 20),
        ("hr-messages.fit", 20),
        ("hr-only.fit", 20),
        ("no-hr.fit", 20),
        ("no-timestamps.fit", 20),
        ("odd-size.fit", 20),
        ("trailing-zeros.fit", 20),
        ("ts-1989.fit", 20),
        ("ts-2106.fit", 20),
        ("ts-backwards-1h.fit", 20),
        ("ts-dup.fit", 20),
        ("a/ride.fit", 20),
        ("b/ride.fit", 20),
    ] {
        let survey = survey(&format!("fit/{name}"));
        assert_eq!(said(&survey), [""; 0], "{name}");
        assert_eq!(survey.summary.samples, count, "{name}");
        assert!(survey.content.is_some(), "{name}");
    }
}

/// Files of which something can be read, or nothing, with the sentence that says why.
#[test]
fn each_fault_has_its_sentence_and_its_place() {
    for (name, count, sentence) in [
        (
            "crashed-size-zero.fit",
            20,
            "byte 598: the recording was not closed: the recorder stopped without writing the \
             length; what it had written is read",
        ),
        (
            "crashed-size-ffffffff.fit",
            20,
            "byte 598: the recording was not closed: the recorder stopped without writing the \
             length; what it had written is read",
        ),
        (
            "missing-crc.fit",
            20,
            "byte 598: there is no checksum at the end",
        ),
        (
            "wrong-crc.fit",
            20,
            "byte 598: the checksum is 4cab, the bytes give 4cfe",
        ),
        (
            "zero-crc.fit",
            20,
            "byte 598: the checksum is 0000, the bytes give 4cfe",
        ),
        (
            "monitoring.fit",
            0,
            "no samples: the file is of the kind monitoring b",
        ),
        (
            "only-file-id.fit",
            0,
            "no samples: the file is of the kind activity",
        ),
        (
            "a.gpx",
            0,
            "this is a GPX file; export the activity as .fit",
        ),
        (
            "a.tcx",
            0,
            "this is a TCX file; export the activity as .fit",
        ),
        ("empty.fit", 0, "the file is empty; copy it again"),
        ("one-byte.fit", 0, "the file has 1 byte; copy it again"),
        (
            "header-16.fit",
            0,
            "byte 0: the FIT header says that it has 16 bytes, but a header has 12 or 14",
        ),
        ("nothing-there.fit", 0, "there is no such file"),
        ("a", 0, "this is a folder; name the files in it"),
    ] {
        let survey = survey(&format!("fit/{name}"));
        assert_eq!(said(&survey), [format!("fit/{name}: {sentence}")]);
        assert_eq!(survey.summary.samples, count, "{name}");
    }
}

#[test]
fn damaged_files_of_others_keep_what_can_be_read() {
    for (name, count, sentence) in [
        ("DeveloperData.fit", 3, None),
        ("antfs-dump.63.fit", 686, None),
        (
            "MonitoringFile.fit",
            0,
            Some("no samples: the file is of the kind monitoring b"),
        ),
        (
            "strava-android-app-201.10-b1218918.fit",
            473,
            Some(
                "byte 7471: a message of kind 11, which the file does not define; the rest has no \
                 meaning",
            ),
        ),
        (
            "activity-filecrc.fit",
            14,
            Some("byte 769: the checksum is b1d5, the bytes give a1d5"),
        ),
        (
            "activity-unexpected-eof.fit",
            14,
            Some("byte 768: the file ends here, inside a message; copy it again"),
        ),
        (
            "README.md",
            0,
            Some("no FIT header; export the activity as .fit"),
        ),
    ] {
        let survey = survey(&format!("fit-bad/{name}"));
        let sentences = sentence.map(|sentence| format!("fit-bad/{name}: {sentence}"));
        assert_eq!(said(&survey), Vec::from_iter(sentences));
        assert_eq!(survey.summary.samples, count, "{name}");
    }
}

#[test]
fn a_part_with_a_wrong_checksum_does_not_hide_the_next_one() {
    let part = bytes("fit/wrong-crc.fit");
    let both = written(&[part, bytes("fit/ok-basic.fit")].concat());
    let survey = Survey::of(&Activity::file(both.path().to_owned()));
    assert_eq!((survey.summary.samples, survey.faults.len()), (40, 1));
    assert_eq!(survey.faults[0].position(), Some(598));
}

#[test]
fn bytes_after_the_end_are_told_and_cost_no_sample() {
    let zeros = survey("fit/trailing-zeros.fit");
    assert_eq!((zeros.padding, zeros.faults.len()), (512, 0));
    let other = written(&[bytes("fit/ok-basic.fit"), b"more".to_vec()].concat());
    let survey = Survey::of(&Activity::file(other.path().to_owned()));
    assert_eq!(survey.summary.samples, 20);
    assert_eq!(survey.faults[0].fault(), &Fault::Trailing { bytes: 4 });
    assert_eq!(survey.faults[0].position(), Some(600));
}

#[test]
fn a_crashed_recording_ends_where_its_card_has_only_zeros() {
    let crashed = [bytes("fit/crashed-size-zero.fit"), vec![0; 4096]].concat();
    let file = written(&crashed);
    let survey = Survey::of(&Activity::file(file.path().to_owned()));
    assert_eq!(survey.summary.samples, 20);
    assert_eq!(survey.faults[0].fault(), &Fault::NotClosed);
}

#[test]
fn a_compressed_distance_counts_on_over_its_twelve_bits() {
    let samples = samples("fit/compressed-distance.fit");
    assert_eq!((samples[0].speed, samples[0].distance), (None, None));
    for (index, sample) in samples[1..].iter().enumerate() {
        assert_eq!(sample.speed, Some(3.0));
        assert_eq!(sample.distance, Some(15.0 * index as f64));
        assert_eq!(sample.heart_rate, Some(100 + index as i32));
        assert_eq!(sample.time, Some(1_731_065_600 + 5 * index as i64));
    }
}

#[test]
fn fields_of_one_name_have_an_order() {
    for (index, sample) in samples("fit/enhanced-array.fit").iter().enumerate() {
        assert_eq!(sample.speed, Some((5_000 + index) as f64 / 1000.0));
        assert_eq!(sample.altitude, Some(100.0 + index as f64));
    }
    for (index, sample) in samples("fit/enhanced-mixed.fit").iter().enumerate() {
        let (speed, altitude) = if index % 2 == 0 {
            (5.0, 100.0)
        } else {
            (70.0, 13_500.0)
        };
        assert_eq!(sample.speed, Some(speed));
        assert_eq!(sample.altitude, Some(altitude));
    }
}

#[test]
fn a_developers_field_is_no_field_of_the_record_unless_it_says_so() {
    let rates = |name: &str| {
        samples(name)
            .iter()
            .map(|s| s.heart_rate)
            .collect::<Vec<_>>()
    };
    let right: Vec<_> = (120..140).map(Some).collect();
    assert_eq!(rates("fit/dev-heart_rate-percent.fit"), right);
    assert_eq!(rates("fit/dev-override-hr.fit"), right);
    let speeds = samples("fit/dev-speed-kmh.fit");
    assert_eq!(speeds[3].speed, Some(10.003));
    let left_out = |name: &str| survey(name).left_out;
    assert_eq!(
        left_out("fit/dev-heart_rate-percent.fit"),
        ["heart_rate (% max)"]
    );
    assert_eq!(left_out("fit/dev-override-hr.fit"), [""; 0]);
    assert_eq!(
        left_out("fit/dev-late-description.fit"),
        ["Target_Power (W)"]
    );
}

#[test]
fn heart_rates_of_a_strap_are_merged_by_their_times() {
    let rates: Vec<_> = samples("fit/hr-messages.fit")
        .iter()
        .map(|sample| sample.heart_rate)
        .collect();
    assert_eq!(rates, (130..150).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_clock_that_is_wrong_does_not_stop_the_activity() {
    let offsets = |name: &str| {
        let samples = samples(name);
        let first = samples[0].time;
        (first, samples[19].offset.as_secs())
    };
    assert_eq!(offsets("fit/ts-1989.fit"), (Some(631_065_605), 19));
    assert_eq!(offsets("fit/ts-2106.fit"), (Some(4_926_032_640), 19));
    assert_eq!(offsets("fit/ts-dup.fit").1, 4);
    assert_eq!(offsets("fit/gap-3days.fit").1, 19);
    assert_eq!(offsets("fit/gap-23h.fit").1, 23 * 3600 + 19);
    assert_eq!(offsets("fit/ts-backwards-1h.fit").1, 18);
    assert_eq!(offsets("fit/no-timestamps.fit"), (None, 19));
    assert!(survey("fit/ok-basic.fit").summary.clock_was_set());
    assert!(!survey("fit/ts-1989.fit").summary.clock_was_set());
    // A file without times still says when it was made.
    assert_eq!(
        survey("fit/no-timestamps.fit").summary.started,
        Some(1_731_065_600)
    );
}

#[test]
fn a_clock_that_was_set_begins_a_new_stretch() {
    let stretches = |name: &str| survey(&format!("fit/{name}")).summary.stretches;
    let basic = stretches("ok-basic.fit");
    assert_eq!(basic.len(), 1);
    assert_eq!((basic[0].from, basic[0].to), (1_731_065_600, 1_731_065_619));
    assert_eq!(stretches("gap-23h.fit").len(), 1);
    let set = stretches("gap-3days.fit");
    assert_eq!(set.len(), 2);
    assert!(set[1].from - set[0].to > 2 * 24 * 3600);
    let back = stretches("ts-backwards-1h.fit");
    assert_eq!(back.len(), 2);
    assert!(back[1].from < back[0].from);
    assert_eq!(stretches("no-timestamps.fit"), []);
}

#[test]
fn an_activity_is_summed_up() {
    let summary = survey("fit/ok-basic.fit").summary;
    assert_eq!(summary.started, Some(1_731_065_600));
    assert_eq!(summary.duration.as_secs(), 19);
    assert_eq!(summary.distance, Some(190.0));
    assert_eq!(summary.heart_rate.mean(), Some(129.5));
    assert_eq!(summary.power.most(), Some(219.0));
    assert_eq!(summary.altitude.least(), Some(120.0));
    assert_eq!(summary.sport, None);
    // The second part starts again at zero.
    assert_eq!(survey("fit/chained.fit").summary.distance, Some(380.0));
    let ride = Survey::of(&Activity::built_in()[0]).summary;
    assert_eq!(ride.sport.as_deref(), Some("cycling"));
}

#[test]
fn files_are_told_apart_by_their_bytes() {
    let content = |name: &str| survey(name).content.unwrap();
    let (a, b): (ContentId, ContentId) = (content("fit/a/ride.fit"), content("fit/b/ride.fit"));
    assert_ne!(a, b);
    assert_eq!(a, content("fit/ok-basic.fit"));
    assert_eq!(a.to_string().len(), 64);
}

#[test]
fn a_pipe_can_be_replayed_more_than_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.fit");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut out = std::fs::File::options().write(true).open(pipe).unwrap();
            out.write_all(&bytes("fit/ok-basic.fit")).unwrap();
        }
    });
    let activity = Activity::file(pipe);
    let survey = Survey::of(&activity);
    writer.join().unwrap();
    assert_eq!((survey.summary.samples, survey.faults.len()), (20, 0));
    assert_eq!(survey.content, crate::survey("fit/ok-basic.fit").content);
    assert_eq!(activity.samples().unwrap().count(), 20);
}

#[test]
fn a_packed_file_that_is_damaged_says_so() {
    let packed = bytes("fit/basic.fit.gz");
    let cut = written(&packed[..packed.len() - 12]);
    let survey = Survey::of(&Activity::file(cut.path().to_owned()));
    assert!(
        survey.faults[0]
            .to_string()
            .contains("the packed file is damaged here")
    );
    let inside = written(&[&packed[..10], b"not deflated at all"].concat());
    let survey = Survey::of(&Activity::file(inside.path().to_owned()));
    assert!(matches!(survey.faults[0].fault(), Fault::Gzip(_)));
}

#[test]
fn what_is_no_activity_is_called_by_its_name() {
    let format = |bytes: &[u8]| {
        let file = written(bytes);
        let survey = Survey::of(&Activity::file(file.path().to_owned()));
        survey.faults[0].fault().clone()
    };
    let foreign = |format| Fault::Foreign(format);
    assert_eq!(format(b"PK\x03\x04 and so on"), foreign(Format::Zip));
    assert_eq!(
        format(b"\xef\xbb\xbf<?xml version='1.0'?><kml/>"),
        foreign(Format::Xml)
    );
    assert_eq!(
        format(b" {\"type\": \"FeatureCollection\"}"),
        foreign(Format::Json)
    );
    assert_eq!(format(&[7; 100]), foreign(Format::Unknown));
}

#[test]
fn two_thousand_files_are_read_by_as_many_threads_as_there_are_cores() {
    let paths = (0..2_000).map(|index| {
        let names = ["fit/ok-basic.fit", "fit/b/ride.fit", "fit/a.gpx"];
        data(names[index % names.len()])
    });
    let surveys = Survey::of_all(&Activity::files(paths));
    assert_eq!(surveys.len(), 2_000);
    for (index, survey) in surveys.iter().enumerate() {
        assert_eq!(survey.faults.len(), usize::from(index % 3 == 2));
    }
}

#[test]
fn built_in_activities_are_whole() {
    let counts = Activity::built_in().into_iter().map(|activity| {
        let survey = Survey::of(&activity);
        (survey.summary.samples, survey.faults.len())
    });
    let right = [10_686, 2_809, 2_263, 19, 17].map(|count| (count, 0));
    assert_eq!(counts.collect::<Vec<_>>(), right);
    let ride = &Activity::built_in()[0];
    let first = ride.samples().unwrap().next().unwrap();
    assert_eq!((first.heart_rate, first.speed), (Some(161), Some(5.888)));
    assert!((first.latitude.unwrap() - 43.713).abs() < 0.01);
}

#[expect(clippy::disallowed_methods, reason = "small files of our own")]
fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap()
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn every_file_of_the_folder_is_named_in_these_tests() {
    let tests = include_str!("found.rs");
    let mut folders = vec![(data("fit"), String::new())];
    while let Some((folder, above)) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = format!("{above}{}", path.file_name().unwrap().display());
            if path.is_dir() {
                folders.push((path, format!("{name}/")));
            } else {
                assert!(name == "README.md" || tests.contains(&name), "{name}");
            }
        }
    }
}
