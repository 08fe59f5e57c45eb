//! What a tracker measures, as people read it: one list for the live page and for the report.

use telemetry_core::records::ActivitySample;

/// A value that samples may have.
#[derive(Debug)]
pub struct Measure {
    /// What people call it.
    pub name: &'static str,
    /// The unit in which people read it.
    pub unit: &'static str,
    /// Its colour, a class of the style sheets.
    pub class: &'static str,
    /// Digits behind the decimal point.
    pub digits: u32,
    /// The field of a sample that has it.
    pub field: &'static str,
    /// What the field is multiplied by to be in that unit.
    factor: f64,
    of: fn(&ActivitySample) -> Option<f64>,
}

/// Every measure, the one that tells most first.
pub static MEASURES: [Measure; 5] = [
    Measure {
        name: "Heart rate",
        unit: "bpm",
        class: "heart",
        digits: 0,
        field: "heart_rate",
        factor: 1.0,
        of: |sample| sample.heart_rate.map(f64::from),
    },
    Measure {
        name: "Power",
        unit: "W",
        class: "power",
        digits: 0,
        field: "power_watts",
        factor: 1.0,
        of: |sample| sample.power_watts.map(f64::from),
    },
    Measure {
        name: "Speed",
        unit: "km/h",
        class: "speed",
        digits: 1,
        field: "speed",
        factor: 3.6,
        of: |sample| sample.speed,
    },
    Measure {
        name: "Distance",
        unit: "km",
        class: "distance",
        digits: 2,
        field: "distance",
        factor: 1e-3,
        of: |sample| sample.distance,
    },
    Measure {
        name: "Altitude",
        unit: "m",
        class: "altitude",
        digits: 0,
        field: "altitude",
        factor: 1.0,
        of: |sample| sample.altitude,
    },
];

impl Measure {
    /// The field's value in the unit of people.
    pub fn scaled(&self, value: f64) -> f64 {
        value * self.factor
    }

    /// What a sample has of it, in the unit of people.
    pub fn of(&self, sample: &ActivitySample) -> Option<f64> {
        (self.of)(sample).map(|value| self.scaled(value))
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::{AvroRecord as _, Schema};

    use super::*;

    #[test]
    fn each_measure_names_a_field_of_the_schema_and_reads_that_field() {
        let schema = Schema::parse(ActivitySample::SCHEMA).unwrap();
        let fields = &schema.record().unwrap().fields;
        for measure in &MEASURES {
            assert!(
                fields.iter().any(|field| field.name == measure.field),
                "{measure:?}"
            );
        }
        let sample = ActivitySample {
            heart_rate: Some(120),
            power_watts: Some(250),
            speed: Some(10.0),
            distance: Some(1_500.0),
            altitude: Some(431.0),
            ..ActivitySample::default()
        };
        let read = MEASURES.each_ref().map(|measure| measure.of(&sample));
        assert_eq!(read, [120.0, 250.0, 36.0, 1.5, 431.0].map(Some));
    }
}
