//! The screen on the shim: records, resume, and the picture.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code; clippy knows only functions marked #[test]"
)]

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use telemetry_core::Instant;
use workout_ui::{Demo, Feed, HEIGHT, Next, Options, Reading, Sample, Summary, UiError, WIDTH};
use xp_wayland_shim::unix::UnixHost;
use xp_wayland_shim::{HookEvent, Input, Limits, MemoryDisplay, Output, OutputMode, Shim};

const MODE: OutputMode = OutputMode::new(WIDTH as u16, HEIGHT as u16);

/// What the host saw of one run.
struct Seen {
    result: Result<Summary, UiError>,
    schema: String,
    /// Serials and records, in order of arrival.
    records: Vec<(u64, Vec<u8>)>,
    /// The screen when the source was closed.
    picture: Vec<u8>,
    frames: u64,
}

/// Runs the screen on a shim whose store has `resume` records. A record is durable `lag` records
/// later, or when nothing else arrives.
fn show(
    feed: impl Feed + Send + 'static,
    resume: u64,
    limits: Limits,
    lag: u64,
    mut each_turn: impl FnMut(Instant),
) -> Seen {
    let shim = Shim::new(limits, MODE);
    let mut host = UnixHost::new(shim, MemoryDisplay::new(MODE)).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut now = Instant::default();
    host.add_client(now, ours).unwrap();
    let options = Options {
        title: "Evening ride".into(),
    };
    let client = std::thread::spawn(move || workout_ui::run(theirs, feed, options));
    let mut seen = Seen {
        result: Ok(Summary::default()),
        schema: String::new(),
        records: Vec::new(),
        picture: Vec::new(),
        frames: 0,
    };
    let (mut open, mut last, mut durable) = (None, resume, resume);
    while !client.is_finished() {
        host.wait(Some(Duration::from_millis(1)), &[]).unwrap();
        now = now + Duration::from_millis(5);
        host.turn(now).unwrap();
        each_turn(now);
        let before = last;
        while let Some(output) = host.poll_output() {
            match output {
                Output::SourceOpened { source, name, .. } => {
                    assert_eq!(name, "demo/ride");
                    open = Some(source);
                    let serial = resume;
                    host.handle_input(now, Input::Resume { source, serial })
                        .unwrap();
                }
                Output::SchemaAnnounced { text, .. } => seen.schema = text,
                Output::Record { serial, bytes, .. } => {
                    last = serial;
                    seen.records.push((serial, bytes));
                }
                Output::SourceClosed { .. } => {
                    seen.picture = host.display().pixels().to_vec();
                    open = None;
                }
                _ => {}
            }
        }
        let safe = if last == before {
            last
        } else {
            last.saturating_sub(lag).max(durable)
        };
        if let (Some(source), true) = (open, safe > durable) {
            durable = safe;
            let serial = durable;
            host.handle_input(now, Input::Durable { source, serial })
                .unwrap();
        }
        while let Some(event) = host.take_hook_event() {
            seen.frames += u64::from(matches!(event, HookEvent::FramePresented { .. }));
        }
    }
    seen.result = client.join().unwrap();
    seen
}

/// Writes a picture where a person finds it after the test.
fn write_png(name: &str, pixels: &[u8]) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = BufWriter::new(File::create(path).unwrap());
    let mut encoder = png::Encoder::new(file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    let rgb: Vec<u8> = pixels
        .chunks_exact(4)
        .flat_map(|p| [p[2], p[1], p[0]])
        .collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&rgb).unwrap();
}

/// How many pixels of a rectangle are nearly white: the ink of the numbers.
fn ink(pixels: &[u8], [x, y, w, h]: [usize; 4]) -> usize {
    (y..y + h)
        .flat_map(|row| pixels[(row * WIDTH + x) * 4..][..w * 4].as_chunks::<4>().0)
        .filter(|p| p[..3].iter().all(|c| *c > 0xd0))
        .count()
}

#[test]
fn a_ride_arrives_whole_and_is_seen() {
    let ride = Duration::from_secs(3000);
    let seen = show(Demo::new(ride, 0.0), 0, Limits::default(), 50, |_| {});
    let summary = seen.result.unwrap();
    assert_eq!((summary.sent, summary.durable), (3000, 3000));
    assert_eq!(seen.schema, "\"long\"");
    let serials: Vec<u64> = seen.records.iter().map(|r| r.0).collect();
    assert_eq!(serials, (1..=3000).collect::<Vec<_>>());
    assert!(seen.records.iter().all(|r| r.1.starts_with(&[0xc3, 1])));
    assert_eq!(summary.frames, seen.frames);

    write_png("ride.png", &seen.picture);
    // What the host shows, after many partial updates, is what a screen drawn at once shows.
    let mut expected = workout_ui::Screen::new("Evening ride");
    for second in 1..=3000 {
        expected.update(Demo::reading(second));
    }
    expected.progress(3000, 3000);
    expected.draw();
    let expected: Vec<u8> = expected
        .pixels()
        .iter()
        .flat_map(|p| p.to_le_bytes())
        .collect();
    assert!(seen.picture == expected, "compare ride.png");
    // Heart rate, power, speed, time, distance.
    for place in [
        [20, 60, 120, 60],
        [204, 60, 110, 60],
        [348, 60, 110, 60],
        [100, 134, 130, 40],
        [340, 134, 90, 40],
    ] {
        assert!(ink(&seen.picture, place) > 80, "{place:?}");
    }
}

#[test]
fn a_second_run_goes_on_where_the_first_ended() {
    let ride = Duration::from_secs(100);
    let seen = show(Demo::new(ride, 0.0), 60, Limits::default(), 0, |_| {});
    let summary = seen.result.unwrap();
    assert_eq!((summary.resumed, summary.sent), (60, 40));
    assert_eq!(seen.records.first().map(|r| r.0), Some(61));
    assert_eq!(seen.records.last().map(|r| r.0), Some(100));

    let seen = show(Demo::new(ride, 0.0), 100, Limits::default(), 0, |_| {});
    assert_eq!((seen.result.unwrap().sent, seen.records.len()), (0, 0));
}

#[test]
fn credit_bounds_what_is_on_its_way() {
    let limits = Limits {
        record_window: 3,
        ..Limits::default()
    };
    let seen = show(
        Demo::new(Duration::from_secs(200), 0.0),
        0,
        limits,
        2,
        |_| {},
    );
    assert_eq!(seen.result.unwrap().durable, 200);
    assert_eq!(seen.records.len(), 200);
}

/// Large records, more than a socket holds, from a feed on another clock.
struct Scripted {
    released: UnixStream,
    /// Samples whose time has come.
    ready: u64,
    count: u64,
}

impl Feed for Scripted {
    fn source(&self) -> &str {
        "demo/ride"
    }

    fn schema(&self) -> &str {
        // Several chunks.
        concat!("\"", "long", "\"")
    }

    fn next(&mut self, after: u64) -> Next {
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = self.released.read(&mut bytes) {
            self.ready += 50 * n as u64;
        }
        if after >= self.count {
            return Next::End;
        }
        if after >= self.ready {
            return Next::Wait { at_most: None };
        }
        let reading = Reading {
            elapsed: Some(Duration::from_secs(after)),
            ..Reading::default()
        };
        Next::Sample(Sample {
            serial: after + 1,
            record: vec![0xaa; 4000],
            reading,
        })
    }

    fn wake(&self) -> Option<BorrowedFd<'_>> {
        Some(self.released.as_fd())
    }
}

#[test]
fn a_feed_on_another_clock_wakes_the_screen() {
    let (mut clock, released) = UnixStream::pair().unwrap();
    released.set_nonblocking(true).unwrap();
    clock.set_nonblocking(true).unwrap();
    let feed = Scripted {
        released,
        ready: 0,
        count: 1000,
    };
    let seen = show(feed, 0, Limits::default(), 10, |now| {
        if now.as_nanos() % 20_000_000 == 0 {
            // Once the feed has ended nobody reads it.
            let _ = clock.write(&[1]);
        }
    });
    assert_eq!(seen.result.unwrap().sent, 1000);
    assert!(seen.records.iter().all(|r| r.1.len() == 4000));
    write_png("absent.png", &seen.picture);
    // Absent readings leave a dash in a quiet colour, no number.
    assert_eq!(ink(&seen.picture, [20, 60, 120, 60]), 0);
    assert!(ink(&seen.picture, [100, 134, 130, 40]) > 80);
}

#[test]
fn a_feed_that_skips_a_serial_is_told() {
    struct Skips;
    impl Feed for Skips {
        fn source(&self) -> &str {
            "demo/ride"
        }
        fn schema(&self) -> &str {
            "\"long\""
        }
        fn next(&mut self, after: u64) -> Next {
            Next::Sample(Sample {
                serial: after + 2,
                record: vec![1],
                reading: Reading::default(),
            })
        }
    }
    let seen = show(Skips, 0, Limits::default(), 0, |_| {});
    assert!(matches!(
        seen.result,
        Err(UiError::Feed {
            serial: 2,
            after: 0,
            len: 1
        })
    ));
}
