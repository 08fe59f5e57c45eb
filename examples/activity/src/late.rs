//! What a file says only after the samples it is about: a first reading collects it.

use std::collections::BTreeMap;

use crate::messages::{Message, Messages};
use crate::source::Source;
use crate::value::Field;

/// Descriptions of developer fields that are kept of one file.
const DESCRIPTIONS_MAX: usize = 1024;

/// Heart beats that are kept of one file: two days at 180 a minute, 8 MiB.
const BEATS_MAX: usize = 512 * 1024;

/// FIT's numbers of the messages that are read here.
const RECORD: u16 = 20;
const HR: u16 = 132;
const FIELD_DESCRIPTION: u16 = 206;

/// Time after which a heart rate says nothing about the moment any more, in seconds.
const BEAT_HOLDS: f64 = 5.0;

/// Longest time over which heart rates are averaged for one sample, in seconds.
const MEAN_OVER_MAX: f64 = 30.0;

/// What is known of a file before its samples are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    /// By part, program and field.
    descriptions: BTreeMap<(u32, u8, u8), Description>,
    /// Heart rates of a chest strap's own memory, by time.
    beats: Vec<Beat>,
}

/// What a developer's field is.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) base: u8,
    pub(crate) name: String,
    pub(crate) units: String,
    /// The field of a record that it stands for, where the record has no value of its own.
    pub(crate) stands_for: Option<u8>,
    scale: f64,
    offset: f64,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    /// Seconds since the FIT epoch.
    time: f64,
    rate: u8,
}

impl Late {
    /// Reads the file once. A fault ends it; the reading of the samples says so.
    pub(crate) fn of(source: &Source) -> Self {
        let mut late = Self::default();
        let Ok(mut messages) = Messages::open(source) else {
            return late;
        };
        let mut strap = Strap::default();
        while let Some(message) = messages.next() {
            match message.number {
                FIELD_DESCRIPTION => late.describe(&message),
                HR => strap.message(&message, &mut late.beats),
                _ => {}
            }
        }
        late.beats.sort_by(|a, b| a.time.total_cmp(&b.time));
        late
    }

    pub(crate) fn description(
        &self,
        part: u32,
        (program, field): (u8, u8),
    ) -> Option<&Description> {
        self.descriptions.get(&(part, program, field))
    }

    /// Name and units of each developer's field that stands for none of a record's own.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let fields = self.descriptions.values();
        let mut names: Vec<String> = fields
            .filter(|field| field.stands_for.is_none())
            .map(|field| match field.units.is_empty() {
                true => field.name.clone(),
                false => format!("{} ({})", field.name, field.units),
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn describe(&mut self, message: &Message<'_>) {
        let number = |field| message.field(field)?.number();
        let small = |field| number(field).map(|n| n as u8);
        let (Some(program), Some(field), Some(base)) = (small(0), small(1), small(2)) else {
            return;
        };
        if self.descriptions.len() == DESCRIPTIONS_MAX {
            return;
        }
        let text = |field| message.field(field)?.text();
        let of_records = number(14).is_none_or(|n| n == f64::from(RECORD));
        let description = Description {
            base,
            name: text(3).unwrap_or_default(),
            units: text(8).unwrap_or_default(),
            stands_for: small(15).filter(|_| of_records),
            scale: number(6).filter(|scale| *scale > 0.0).unwrap_or(1.0),
            offset: number(7).unwrap_or(0.0),
        };
        self.descriptions
            .insert((message.part, program, field), description);
    }

    /// The heart rate at a moment: the mean since the sample before, else the last one if it is
    /// fresh.
    pub(crate) fn heart_rate(&self, last: Option<i64>, now: i64) -> Option<i32> {
        let now = now as f64;
        let from = last.map_or(now - 1.0, |last| last as f64);
        let from = if from < now { from } else { now - 1.0 }.max(now - MEAN_OVER_MAX);
        let at = |time: f64| self.beats.partition_point(|beat| beat.time <= time);
        let (first, end) = (at(from), at(now));
        let since = &self.beats[first..end];
        if since.is_empty() {
            let last = self.beats.get(end.checked_sub(1)?)?;
            return (now - last.time <= BEAT_HOLDS).then_some(i32::from(last.rate));
        }
        let sum: f64 = since.iter().map(|beat| f64::from(beat.rate)).sum();
        Some((sum / since.len() as f64).round() as i32)
    }
}

impl Description {
    /// A raw value in the units of the field that this one stands for.
    pub(crate) fn convert(&self, raw: f64) -> f64 {
        let value = raw / self.scale - self.offset;
        match self.units.as_str() {
            "km/h" | "kph" | "kmh" => value / 3.6,
            "mph" => value * 0.447_04,
            "km" => value * 1_000.0,
            _ => value,
        }
    }
}

/// A strap's clock: it counts 1/1024 s on its own, and now and then says what time that is.
#[derive(Default)]
struct Strap {
    /// A time, and what the strap's clock showed then.
    anchor: Option<(f64, f64)>,
    /// The newest count: compressed ones are the low 12 bits of those that follow.
    count: u32,
}

impl Strap {
    fn message(&mut self, message: &Message<'_>, beats: &mut Vec<Beat>) {
        let mut counts = Vec::new();
        if let Some(field) = message.field(9) {
            counts.extend(field.numbers().flatten().map(|n| n as u32));
        } else if let Some(field) = message.field(10) {
            for packed in field.bytes.as_chunks::<3>().0 {
                let [a, b, c] = packed.map(u32::from);
                for low in [a | (b & 15) << 8, b >> 4 | c << 4] {
                    let last = counts.last().copied().unwrap_or(self.count);
                    counts.push(last.wrapping_add(low.wrapping_sub(last) & 0xfff));
                }
            }
        }
        let seconds = |count: u32| f64::from(count) / 1024.0;
        if let (Some(first), Some(time)) = (counts.first(), message.field(253)) {
            let part = message.field(0).and_then(Field::number).unwrap_or(0.0);
            let time = time.number().map(|time| time + part / 32_768.0);
            self.anchor = time.map(|time| (time, seconds(*first))).or(self.anchor);
        }
        self.count = counts.last().copied().unwrap_or(self.count);
        let Some((time, shown)) = self.anchor else {
            return;
        };
        let rates = message.field(6).into_iter().flat_map(Field::numbers);
        for (count, rate) in counts.into_iter().zip(rates) {
            let Some(rate) = rate.filter(|rate| *rate > 0.0) else {
                continue;
            };
            if beats.len() == BEATS_MAX {
                return;
            }
            beats.push(Beat {
                time: time + seconds(count) - shown,
                rate: rate as u8,
            });
        }
    }
}
