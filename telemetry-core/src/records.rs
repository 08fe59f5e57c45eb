//! The streams that every device has. Vendors add their own with `#[derive(AvroRecord)]`.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::{AvroRecord, Timestamp};

/// One sample of an activity: what the wearer and the machine did at a moment.
///
/// A reading that the source does not have is null.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct ActivitySample {
    /// When it was measured, by the device's clock.
    #[avro(event_time)]
    pub time: Timestamp,
    /// The source the sample is from, e.g. the name of an activity.
    pub source: String,
    /// Number of the sample within its source, from 1.
    pub serial: i64,
    /// Heart rate in beats per minute.
    pub heart_rate: Option<i32>,
    /// Mechanical power in watts.
    #[avro(alias = "power")]
    pub power_watts: Option<i32>,
    /// Cadence in revolutions (or double steps) per minute.
    pub cadence: Option<i32>,
    /// Speed in metres per second.
    pub speed: Option<f64>,
    /// Distance since the start in metres.
    pub distance: Option<f64>,
    /// Altitude in metres above sea level.
    pub altitude: Option<f64>,
    /// Latitude in degrees, north positive (WGS 84).
    pub latitude: Option<f64>,
    /// Longitude in degrees, east positive (WGS 84).
    pub longitude: Option<f64>,
    /// Temperature in degrees Celsius.
    pub temperature: Option<i32>,
    /// Resistance level of the machine; 0 where it has none.
    #[avro(default = 0)]
    pub resistance: i32,
}

/// The way of one frame from a client's commit to the screen.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct FrameTiming {
    /// When the frame was presented.
    #[avro(event_time)]
    pub time: Timestamp,
    /// The surface, numbered by the shim.
    pub surface: i64,
    /// Number of the frame on its surface.
    pub frame: i64,
    /// Microseconds from the client's commit to the start of composition.
    pub queued_us: i64,
    /// Microseconds from the start of composition to its end.
    pub composed_us: i64,
    /// Microseconds from the end of composition to presentation.
    pub presented_us: i64,
    /// Pixels that changed.
    pub damage_px: i64,
}

/// The time from an input to the first frame that can show its effect: a lower bound.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct InputLatency {
    /// When the frame was presented.
    #[avro(event_time)]
    pub time: Timestamp,
    /// What kind of input: `pointer`, `touch` or `key`.
    pub input: String,
    /// Microseconds from the input to the presentation.
    pub latency_us: i64,
}

/// A surface appeared, changed or went.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct SurfaceEvent {
    /// When it happened.
    #[avro(event_time)]
    pub time: Timestamp,
    /// The surface, numbered by the shim.
    pub surface: i64,
    /// `created`, `mapped`, `unmapped` or `destroyed`.
    pub event: String,
    /// Width in pixels, where the surface has a size.
    pub width: Option<i32>,
    /// Height in pixels, where the surface has a size.
    pub height: Option<i32>,
}

/// How the device is doing: sampled by the agent every second and at every alert.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct SystemState {
    /// When it was sampled.
    #[avro(event_time)]
    pub time: Timestamp,
    /// Processor use in percent of one core.
    pub cpu_percent: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<i64>,
    /// Seconds since the device booted.
    pub uptime_s: Option<f64>,
    /// Charge of the battery in percent.
    pub battery_percent: Option<i32>,
    /// Records in the spool that are not confirmed.
    pub spool_depth_records: i64,
    /// Bytes in the spool that are not confirmed.
    pub spool_depth_bytes: i64,
    /// The next number of every stream, as `stream:seq`, separated by spaces: so that a loss at
    /// the end of a stream shows too.
    pub next_seqs: String,
    /// The epoch before this one; in the first state of an epoch only.
    pub previous_epoch: Option<i64>,
    /// The final next numbers of that epoch, written like `next_seqs`.
    pub previous_next_seqs: Option<String>,
}

/// A program on the device ended badly.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct Crash {
    /// When it was noticed.
    #[avro(event_time)]
    pub time: Timestamp,
    /// The program.
    pub program: String,
    /// Exit code or signal number.
    pub status: Option<i32>,
    /// What is known, without health values.
    pub detail: Option<String>,
}

/// A cue for the wearer that was given, or not, and why.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct FeedbackGiven {
    /// When it was decided.
    #[avro(event_time)]
    pub time: Timestamp,
    /// What the cue is about.
    pub topic: String,
    /// `info`, `notice`, `warning` or `critical`.
    pub urgency: String,
    /// The ways it went: `speech`, `earcon`, `haptic`, `tracker`, separated by spaces; empty if
    /// it was not given.
    pub routes: String,
    /// Why it was not given.
    pub reason: Option<String>,
}

/// A wish to tell a wearer something: what the stream `telemetry.feedback` carries.
///
/// Who asks names the effect by `key`; who gives it tells it once, and not after its time to live.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct FeedbackRequest {
    /// When it was asked for.
    #[avro(event_time)]
    pub time: Timestamp,
    /// Names this effect: the same key again is the same wish.
    pub key: String,
    /// Keyed pseudonym of the wearer.
    pub wearer: String,
    /// What it is about, e.g. `goal-reached`.
    pub kind: String,
    /// How soon the wearer must hear of it: `info`, `notice`, `warning` or `critical`.
    pub urgency: String,
    /// What to say, by language (BCP 47, e.g. `en`, `pt-BR`).
    pub texts: BTreeMap<String, String>,
    /// Milliseconds after `time` until nobody needs to hear it any more.
    pub time_to_live_ms: i64,
}

/// Something about a device that a consumer should act on.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct DeviceEvent {
    /// When it happened.
    #[avro(event_time)]
    pub time: Timestamp,
    /// What happened, e.g. `score`, `clock-offset`.
    pub kind: String,
    /// The detector that saw it.
    pub detector: Option<String>,
    /// The record that caused it, as `device:epoch:stream:seq`: with the detector, what removes
    /// duplicates.
    pub cause: Option<String>,
    /// How unusual it is, in the detector's unit.
    pub score: Option<f64>,
    /// Microseconds to add to the device's wall clock of this boot.
    pub clock_offset_us: Option<i64>,
    /// The boot that `clock_offset_us` is about.
    pub boot: Option<String>,
}

/// A schema in use, sent in the stream's own durable channel before its first record.
///
/// The schema of this record is frozen: every consumer of every release reads it.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct SchemaAnnouncement {
    /// The stream, and registry subject.
    pub subject: String,
    /// The schema as JSON.
    pub schema: String,
}

/// What is known about a batch besides what the device wrote. It never rewrites body or identity.
#[derive(AvroRecord, Clone, Debug, Default, PartialEq)]
#[avro(crate = "crate", namespace = "xp.telemetry")]
pub struct Enrichment {
    /// Keyed pseudonym of the wearer.
    pub wearer: Option<String>,
    /// Where the device stands.
    pub site: Option<String>,
    /// Model of the device.
    pub model: Option<String>,
    /// Firmware of the device.
    pub firmware: Option<String>,
    /// The session the records belong to.
    pub session: Option<String>,
    /// Version of the schema in the registry.
    pub schema_version: Option<i32>,
    /// Who enriched: name and version.
    pub enricher: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;
    use crate::{Fingerprint, Plan, Schema, single_object};
    use alloc::string::ToString;

    fn check<R: AvroRecord>() {
        let schema = Schema::parse(R::SCHEMA).unwrap();
        assert_eq!(schema.canonical(), R::CANONICAL);
        assert_eq!(schema.fingerprint(), R::FINGERPRINT);
        assert_eq!(schema.record().unwrap().name, R::NAME);
        assert_eq!(crate::stream_of::<R>().as_str(), R::NAME);
    }

    #[test]
    fn schemas_are_what_the_parser_makes_of_them() {
        check::<ActivitySample>();
        check::<FrameTiming>();
        check::<InputLatency>();
        check::<SurfaceEvent>();
        check::<SystemState>();
        check::<Crash>();
        check::<FeedbackGiven>();
        check::<FeedbackRequest>();
        check::<DeviceEvent>();
        check::<SchemaAnnouncement>();
        check::<Enrichment>();
    }

    #[test]
    fn the_announcement_is_frozen() {
        assert_eq!(
            SchemaAnnouncement::CANONICAL,
            r#"{"name":"xp.telemetry.SchemaAnnouncement","type":"record","fields":[{"name":"subject","type":"string"},{"name":"schema","type":"string"}]}"#
        );
        assert_eq!(
            SchemaAnnouncement::FINGERPRINT,
            Fingerprint(0xfb1a_ad71_bfc0_657d)
        );
    }

    #[test]
    fn records_round_trip() {
        let sample = ActivitySample {
            time: Timestamp::from_micros(1_700_000_000_000_000),
            source: "ride".to_string(),
            serial: 7,
            heart_rate: Some(141),
            speed: Some(8.25),
            resistance: -3,
            ..ActivitySample::default()
        };
        let message = sample.to_message();
        let (fp, datum) = single_object::split(&message).unwrap();
        assert_eq!(fp, ActivitySample::FINGERPRINT);
        assert!(datum.len() <= sample.datum_len_bound());
        let schema = Schema::parse(ActivitySample::SCHEMA).unwrap();
        let plan = Plan::compile(&schema, &schema).unwrap();
        let mut input = Reader::new(datum);
        assert_eq!(
            ActivitySample::decode(&plan, &mut input),
            Ok(sample.clone())
        );
        assert!(input.is_empty());
        assert_eq!(sample.event_time(), Some(sample.time));
    }
}
