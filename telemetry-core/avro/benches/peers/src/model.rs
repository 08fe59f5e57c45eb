//! The two records, for every library, and the records to measure with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telemetry_avro::{AvroRecord, AvroType, Entries, Items};

/// What is read: `ts` renamed, two fields widened, two removed, two added, all and the symbols
/// reordered, one symbol more.
pub const V2: &str = Telemetry2::SCHEMA;

/// The reader's schema without the rename, for a library that ignores aliases.
pub fn v2_without_alias() -> String {
    V2.replace(r#""name":"ts_us""#, r#""name":"ts""#)
        .replace(r#","aliases":["ts"]"#, "")
}

#[derive(AvroType, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[avro(namespace = "tc")]
#[allow(non_camel_case_types)]
pub enum Kind {
    HEART_RATE,
    STEPS,
    CADENCE,
    GPS,
    DEVICE,
    LOG,
}

#[derive(AvroType, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[avro(name = "Kind", namespace = "tc")]
#[serde(rename = "Kind")]
#[allow(non_camel_case_types)]
pub enum Kind2 {
    #[avro(default)]
    UNKNOWN,
    LOG,
    DEVICE,
    GPS,
    CADENCE,
    STEPS,
    HEART_RATE,
}

#[derive(AvroRecord, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[avro(namespace = "tc")]
pub struct Telemetry {
    pub device_id: String,
    pub ts: i64,
    pub seq: i32,
    pub kind: Kind,
    pub hr: Option<f64>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub battery: Option<f64>,
    pub steps: i32,
    pub samples: Vec<f64>,
    pub tags: BTreeMap<String, String>,
    pub fw: String,
}

#[derive(AvroRecord, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[avro(name = "Telemetry", namespace = "tc")]
#[serde(rename = "Telemetry")]
pub struct TelemetryRef<'a> {
    pub device_id: &'a str,
    pub ts: i64,
    pub seq: i32,
    pub kind: Kind,
    pub hr: Option<f64>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub battery: Option<f64>,
    pub steps: i32,
    pub samples: Vec<f64>,
    #[serde(borrow)]
    pub tags: BTreeMap<&'a str, &'a str>,
    pub fw: &'a str,
}

/// Nothing is copied or collected.
#[derive(AvroRecord, Clone, PartialEq, Debug)]
#[avro(name = "Telemetry", namespace = "tc")]
pub struct TelemetryView<'a> {
    pub device_id: &'a str,
    pub ts: i64,
    pub seq: i32,
    pub kind: Kind,
    pub hr: Option<f64>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub battery: Option<f64>,
    pub steps: i32,
    pub samples: Items<'a, f64>,
    pub tags: Entries<'a, &'a str>,
    pub fw: &'a str,
}

fn unknown() -> String {
    "unknown".to_owned()
}

const fn unknown_ref() -> &'static str {
    "unknown"
}

const fn minus_one() -> f64 {
    -1.0
}

#[derive(AvroRecord, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[avro(name = "Telemetry", namespace = "tc")]
#[serde(rename = "Telemetry")]
pub struct Telemetry2 {
    #[avro(alias = "ts")]
    #[serde(alias = "ts")]
    pub ts_us: i64,
    pub device_id: String,
    pub kind: Kind2,
    #[avro(default = "unknown")]
    #[serde(default = "unknown")]
    pub region: String,
    pub steps: i64,
    pub seq: i64,
    pub lon: Option<f64>,
    pub lat: Option<f64>,
    pub hr: Option<f64>,
    #[avro(default = -1.0)]
    #[serde(default = "minus_one")]
    pub cpu: f64,
    pub tags: BTreeMap<String, String>,
    pub samples: Vec<f64>,
}

#[derive(AvroRecord, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[avro(name = "Telemetry", namespace = "tc")]
#[serde(rename = "Telemetry")]
pub struct Telemetry2Ref<'a> {
    #[avro(alias = "ts")]
    #[serde(alias = "ts")]
    pub ts_us: i64,
    pub device_id: &'a str,
    pub kind: Kind2,
    #[avro(default = "unknown")]
    #[serde(default = "unknown_ref")]
    pub region: &'a str,
    pub steps: i64,
    pub seq: i64,
    pub lon: Option<f64>,
    pub lat: Option<f64>,
    pub hr: Option<f64>,
    #[avro(default = -1.0)]
    #[serde(default = "minus_one")]
    pub cpu: f64,
    #[serde(borrow)]
    pub tags: BTreeMap<&'a str, &'a str>,
    pub samples: Vec<f64>,
}

impl Telemetry {
    /// What a reader of the second schema should see.
    pub fn evolved(&self) -> Telemetry2 {
        Telemetry2 {
            ts_us: self.ts,
            device_id: self.device_id.clone(),
            kind: match self.kind {
                Kind::HEART_RATE => Kind2::HEART_RATE,
                Kind::STEPS => Kind2::STEPS,
                Kind::CADENCE => Kind2::CADENCE,
                Kind::GPS => Kind2::GPS,
                Kind::DEVICE => Kind2::DEVICE,
                Kind::LOG => Kind2::LOG,
            },
            region: unknown(),
            steps: self.steps.into(),
            seq: self.seq.into(),
            lon: self.lon,
            lat: self.lat,
            hr: self.hr,
            cpu: minus_one(),
            tags: self.tags.clone(),
            samples: self.samples.clone(),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TelemetryProto {
    #[prost(string, tag = "1")]
    pub device_id: String,
    #[prost(int64, tag = "2")]
    pub ts: i64,
    #[prost(int32, tag = "3")]
    pub seq: i32,
    #[prost(int32, tag = "4")]
    pub kind: i32,
    #[prost(double, optional, tag = "5")]
    pub hr: Option<f64>,
    #[prost(double, optional, tag = "6")]
    pub lat: Option<f64>,
    #[prost(double, optional, tag = "7")]
    pub lon: Option<f64>,
    #[prost(double, optional, tag = "8")]
    pub battery: Option<f64>,
    #[prost(int32, tag = "9")]
    pub steps: i32,
    #[prost(double, repeated, tag = "10")]
    pub samples: Vec<f64>,
    #[prost(btree_map = "string, string", tag = "11")]
    pub tags: BTreeMap<String, String>,
    #[prost(string, tag = "12")]
    pub fw: String,
}

impl From<&Telemetry> for TelemetryProto {
    fn from(r: &Telemetry) -> Self {
        Self {
            device_id: r.device_id.clone(),
            ts: r.ts,
            seq: r.seq,
            kind: r.kind as i32,
            hr: r.hr,
            lat: r.lat,
            lon: r.lon,
            battery: r.battery,
            steps: r.steps,
            samples: r.samples.clone(),
            tags: r.tags.clone(),
            fw: r.fw.clone(),
        }
    }
}

#[derive(AvroType, Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
#[avro(name = "K", namespace = "tc")]
#[serde(rename = "K")]
#[allow(clippy::upper_case_acronyms)]
pub enum Sort {
    HR,
    STEPS,
    CAD,
    GPS,
}

#[derive(AvroType, Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
#[avro(name = "K", namespace = "tc")]
#[serde(rename = "K")]
#[allow(clippy::upper_case_acronyms)]
pub enum Sort2 {
    #[avro(default)]
    UNK,
    GPS,
    CAD,
    STEPS,
    HR,
}

/// The small record.
#[derive(AvroRecord, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[avro(namespace = "tc")]
pub struct Hr {
    pub ts: i64,
    pub seq: i32,
    pub kind: Sort,
    pub bpm: i32,
    pub conf: Option<f64>,
    pub cpu: f64,
}

/// The small record, read later.
#[derive(AvroRecord, Serialize, Deserialize, Clone, PartialEq, Debug)]
#[avro(name = "Hr", namespace = "tc")]
#[serde(rename = "Hr")]
pub struct Hr2 {
    pub kind: Sort2,
    pub ts: i64,
    pub bpm: i64,
    pub conf: Option<f64>,
    #[avro(default = -1.0)]
    #[serde(default = "minus_one")]
    pub mem: f64,
    pub cpu: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HrProto {
    #[prost(int64, tag = "1")]
    pub ts: i64,
    #[prost(int32, tag = "2")]
    pub seq: i32,
    #[prost(int32, tag = "3")]
    pub kind: i32,
    #[prost(int32, tag = "4")]
    pub bpm: i32,
    #[prost(double, optional, tag = "5")]
    pub conf: Option<f64>,
    #[prost(double, tag = "6")]
    pub cpu: f64,
}

impl From<&Hr> for HrProto {
    fn from(r: &Hr) -> Self {
        Self {
            ts: r.ts,
            seq: r.seq,
            kind: r.kind as i32,
            bpm: r.bpm,
            conf: r.conf,
            cpu: r.cpu,
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Records of a fleet of 64 devices, the same on every run.
pub fn telemetry(n: usize) -> Vec<Telemetry> {
    let mut r = Random(0x5eed);
    let ids: Vec<String> = (0..64)
        .map(|_| {
            let (a, b) = (r.next(), r.next());
            format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                a >> 32,
                (a >> 16) & 0xffff,
                a & 0xffff,
                b >> 48,
                b & 0xffff_ffff_ffff
            )
        })
        .collect();
    let kinds = [
        Kind::HEART_RATE,
        Kind::STEPS,
        Kind::CADENCE,
        Kind::GPS,
        Kind::DEVICE,
        Kind::LOG,
    ];
    let mut ts = 1_700_000_000_000_000;
    (0..n)
        .map(|i| {
            ts += 900_000 + r.below(200_000) as i64;
            let gps = r.below(10) < 3;
            let (lat, lon) = (40.0 + r.unit() * 10.0, -75.0 + r.unit() * 10.0);
            let activity = ["run", "walk", "cycling", "rest"][r.below(4) as usize];
            let tags = [
                ("app", "fitness-tracker".to_owned()),
                ("activity", activity.to_owned()),
                ("session", format!("s{:06}", i / 100)),
            ];
            let base = 60.0 + r.unit() * 100.0;
            Telemetry {
                device_id: ids[r.below(64) as usize].clone(),
                ts,
                seq: i as i32,
                kind: kinds[r.below(6) as usize],
                hr: (r.below(10) < 9).then_some(base),
                lat: gps.then_some(lat),
                lon: gps.then_some(lon),
                battery: (r.below(10) < 6).then(|| r.unit()),
                steps: r.below(20_000) as i32,
                samples: (0..10).map(|_| base + r.unit() * 8.0 - 4.0).collect(),
                tags: tags.map(|(k, v)| (k.to_owned(), v)).into(),
                fw: "4.12.7-rel".to_owned(),
            }
        })
        .collect()
}

/// Heart-rate samples, the same on every run.
pub fn heart_rates(n: usize) -> Vec<Hr> {
    let mut r = Random(7);
    let mut ts = 1_700_000_000_000_000;
    (0..n)
        .map(|i| {
            ts += 900_000 + r.below(200_000) as i64;
            Hr {
                ts,
                seq: i as i32,
                kind: [Sort::HR, Sort::STEPS, Sort::CAD, Sort::GPS][r.below(4) as usize],
                bpm: 50 + r.below(120) as i32,
                conf: (r.below(2) == 0).then(|| r.unit()),
                cpu: r.unit(),
            }
        })
        .collect()
}

#[derive(fory::ForyEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum KindFory {
    HeartRate,
    Steps,
    Cadence,
    Gps,
    Device,
    Log,
}

impl From<Kind> for KindFory {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::HEART_RATE => Self::HeartRate,
            Kind::STEPS => Self::Steps,
            Kind::CADENCE => Self::Cadence,
            Kind::GPS => Self::Gps,
            Kind::DEVICE => Self::Device,
            Kind::LOG => Self::Log,
        }
    }
}

#[derive(fory::ForyStruct, Clone, PartialEq, Debug)]
pub struct TelemetryFory {
    pub device_id: String,
    pub ts: i64,
    pub seq: i32,
    pub kind: KindFory,
    pub hr: Option<f64>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub battery: Option<f64>,
    pub steps: i32,
    pub samples: Vec<f64>,
    pub tags: BTreeMap<String, String>,
    pub fw: String,
}

/// What a reader of the second schema has, as far as Fory's compatible mode goes: it has no renames,
/// and gives a field that is not there its type's own default.
#[derive(fory::ForyStruct, Clone, PartialEq, Debug)]
pub struct Telemetry2Fory {
    pub ts: i64,
    pub device_id: String,
    pub kind: KindFory,
    pub region: String,
    pub steps: i32,
    pub seq: i32,
    pub lon: Option<f64>,
    pub lat: Option<f64>,
    pub hr: Option<f64>,
    pub cpu: f64,
    pub tags: BTreeMap<String, String>,
    pub samples: Vec<f64>,
}

impl From<&Telemetry> for TelemetryFory {
    fn from(r: &Telemetry) -> Self {
        Self {
            device_id: r.device_id.clone(),
            ts: r.ts,
            seq: r.seq,
            kind: r.kind.into(),
            hr: r.hr,
            lat: r.lat,
            lon: r.lon,
            battery: r.battery,
            steps: r.steps,
            samples: r.samples.clone(),
            tags: r.tags.clone(),
            fw: r.fw.clone(),
        }
    }
}

impl From<&Telemetry> for Telemetry2Fory {
    fn from(r: &Telemetry) -> Self {
        Self {
            ts: r.ts,
            device_id: r.device_id.clone(),
            kind: r.kind.into(),
            region: String::new(),
            steps: r.steps,
            seq: r.seq,
            lon: r.lon,
            lat: r.lat,
            hr: r.hr,
            cpu: 0.0,
            tags: r.tags.clone(),
            samples: r.samples.clone(),
        }
    }
}
