//! Earcons and haptic patterns keep what they promise.

use std::time::Duration;

use telemetry_airpods::{Earcon, Haptic, SAMPLE_RATE};

/// Energy at `hz`, as a share of the whole (Goertzel).
fn share(samples: &[f64], hz: f64) -> f64 {
    let w = 2.0 * (std::f64::consts::TAU * hz / f64::from(SAMPLE_RATE)).cos();
    let (a, b) = samples
        .iter()
        .fold((0.0, 0.0), |(a, b), x| (x + w * a - b, a));
    let total: f64 = samples.iter().map(|x| x * x).sum();
    2.0 * (a * a + b * b - w * a * b) / total / samples.len() as f64
}

#[test]
fn earcons_are_short_quiet_at_the_ends_and_below_full_scale() {
    for earcon in Earcon::ALL {
        let samples: Vec<i16> = earcon.samples().collect();
        let ms = samples.len() * 1_000 / SAMPLE_RATE as usize;
        assert!((195..=600).contains(&ms), "{earcon:?}: {ms} ms");
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
        // -1 dBFS is 29,204.
        assert!((20_000..=29_204).contains(&peak), "{earcon:?}: {peak}");
        assert_eq!(
            (samples[0], samples[samples.len() - 1].abs() < 50),
            (0, true)
        );
        // No clicks: a full-scale sine of 3 kHz changes by less than this per sample.
        let step = samples
            .windows(2)
            .map(|w| w[0].abs_diff(w[1]))
            .max()
            .unwrap();
        assert!(step < 10_000, "{earcon:?}: {step}");
    }
}

#[test]
fn energy_lies_where_most_people_hear() {
    for earcon in Earcon::ALL {
        let samples: Vec<f64> = earcon.samples().map(f64::from).collect();
        let low: f64 = (1..40).map(|k| share(&samples, f64::from(k) * 10.0)).sum();
        let high: f64 = (0..40)
            .map(|k| share(&samples, 4_000.0 + f64::from(k) * 400.0))
            .sum();
        assert!(low < 0.02 && high < 0.02, "{earcon:?}: {low} {high}");
    }
}

#[cfg(feature = "render")]
#[test]
fn wav_files_hold_the_samples() {
    for earcon in Earcon::ALL {
        let mut file = std::io::Cursor::new(Vec::new());
        earcon.write_wav(&mut file).unwrap();
        file.set_position(0);
        let mut wav = hound::WavReader::new(file).unwrap();
        assert_eq!((wav.spec().channels, wav.spec().sample_rate), (1, 44_100));
        let back: Vec<i16> = wav.samples().map(Result::unwrap).collect();
        assert!(back.into_iter().eq(earcon.samples()));
    }
}

#[test]
fn patterns_have_their_lengths() {
    let ms = |h: Haptic| h.length().as_millis();
    assert_eq!(ms(Haptic::Notice), 50);
    assert_eq!(ms(Haptic::Warning), 360);
    assert_eq!(ms(Haptic::Critical), 1_750);
    assert_eq!(ms(Haptic::Goal), 880);
    for bpm in 0..=255 {
        let heartbeat = Haptic::Heartbeat { bpm };
        assert!(heartbeat.length() <= Duration::from_secs(3), "{bpm}");
        let touches = heartbeat.touches();
        assert!(touches.windows(2).all(|w| w[0].at < w[1].at), "{bpm}");
    }
    assert!(!format!("{:?}", Haptic::Heartbeat { bpm: 142 }).contains("142"));
}
