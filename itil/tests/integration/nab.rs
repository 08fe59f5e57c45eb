//! The detector on a labelled series of the Numenta Anomaly Benchmark.

use telemetry_itil::detect::{RangeBreak, RangeBreakConfig};

const SERIES: &str = include_str!("../../../testdata/nab/occupancy_t4013.csv");
/// Labelled windows, in rows (`testdata/nab/README.md`).
const WINDOWS: [std::ops::RangeInclusive<usize>; 2] = [2087..=2211, 2335..=2459];

#[test]
fn speaks_in_both_windows_and_nowhere_else() {
    // The benchmark's probation: 15 % of the series, not scored.
    let warm_up = 375;
    let mut detector = RangeBreak::new(RangeBreakConfig {
        warm_up,
        ..RangeBreakConfig::default()
    });
    let spoken: Vec<usize> = SERIES
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap().1.parse::<f64>().unwrap())
        .enumerate()
        .filter(|(_, x)| {
            let score = detector.update(*x);
            score.fresh && score.excess >= 1.0
        })
        .map(|(row, _)| row)
        .collect();
    for window in &WINDOWS {
        assert!(spoken.iter().any(|row| window.contains(row)), "{spoken:?}");
    }
    let outside = |row: &&usize| !WINDOWS.iter().any(|w| w.contains(row));
    assert_eq!(spoken.iter().find(outside), None, "{spoken:?}");
}
