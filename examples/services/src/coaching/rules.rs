//! What a wearer should know: goals that are reached, a heart rate that is too high.

use std::collections::BTreeMap;

use telemetry_airpods::{Earcon, Haptic, Urgency};
use telemetry_core::records::ActivitySample;

/// A goal each so many metres.
const GOAL_M: f64 = 5_000.0;

/// Beats per minute above which the wearer is warned, and below which the warning is over.
const HEART_RATE: (i32, i32) = (175, 165);

/// Sources remembered of a wearer; beyond, the one that comes first by name is forgotten.
const SOURCES_MAX: usize = 64;

/// An alert without a name yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewAlert {
    pub(super) topic: &'static str,
    pub(super) urgency: Urgency,
    pub(super) text: String,
    pub(super) earcon: Earcon,
    pub(super) haptic: Haptic,
}

/// The rules, and what they know of one wearer.
#[derive(Debug, Default)]
pub(super) struct Rules {
    goals: u64,
    heart_rate_high: bool,
    /// Last sample of each source: a batch that comes again is no news.
    seen: BTreeMap<String, i64>,
}

impl Rules {
    /// What follows from a sample.
    pub(super) fn sample(&mut self, sample: &ActivitySample, alerts: &mut Vec<NewAlert>) {
        if !self.is_new(sample) {
            return;
        }
        if let Some(distance) = sample.distance {
            // Not below 0, and no wearer gets to 2^64 goals.
            let goals = (distance / GOAL_M) as u64;
            if goals > self.goals {
                self.goals = goals;
                alerts.push(NewAlert {
                    topic: "distance",
                    urgency: Urgency::Notice,
                    text: format!("{} kilometres. Well done.", goals * 5),
                    earcon: Earcon::Goal,
                    haptic: Haptic::Goal,
                });
            }
        }
        if let Some(bpm) = sample.heart_rate {
            if bpm > HEART_RATE.0 && !self.heart_rate_high {
                self.heart_rate_high = true;
                alerts.push(NewAlert {
                    topic: "heart rate",
                    urgency: Urgency::Warning,
                    text: "Warning. Your heart rate is high. Ease off.".to_owned(),
                    earcon: Earcon::Warning,
                    haptic: Haptic::Warning,
                });
            } else if bpm < HEART_RATE.1 {
                self.heart_rate_high = false;
            }
        }
    }

    fn is_new(&mut self, sample: &ActivitySample) -> bool {
        if let Some(last) = self.seen.get_mut(&sample.source) {
            let new = sample.serial > *last;
            *last = sample.serial.max(*last);
            return new;
        }
        if self.seen.len() >= SOURCES_MAX {
            self.seen.pop_first();
        }
        self.seen.insert(sample.source.clone(), sample.serial);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(serial: i64, distance: f64, heart_rate: i32) -> ActivitySample {
        ActivitySample {
            source: "ride".to_owned(),
            serial,
            distance: Some(distance),
            heart_rate: Some(heart_rate),
            ..ActivitySample::default()
        }
    }

    #[test]
    fn each_goal_and_each_high_heart_rate_is_said_once() {
        let mut rules = Rules::default();
        let mut said = Vec::new();
        for (serial, distance, heart_rate) in [
            (1, 4_999.0, 120),
            (2, 5_000.0, 176),
            // The same again, and an older one.
            (2, 10_000.0, 120),
            (1, 10_000.0, 120),
            // Between the two limits nothing changes.
            (3, 5_100.0, 170),
            (4, 5_200.0, 180),
            (5, 5_300.0, 164),
            (6, 11_000.0, 176),
        ] {
            rules.sample(&sample(serial, distance, heart_rate), &mut said);
        }
        let topics: Vec<_> = said.iter().map(|alert| alert.topic).collect();
        assert_eq!(topics, ["distance", "heart rate", "distance", "heart rate"]);
        assert_eq!(said[2].text, "10 kilometres. Well done.");
    }
}
