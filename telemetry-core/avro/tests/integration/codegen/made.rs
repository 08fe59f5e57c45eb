// Made from Avro schemas by telemetry_avro::codegen.

/// What is ridden or run.
#[allow(missing_docs, non_camel_case_types)]
#[derive(telemetry_avro::AvroType, Clone, Copy, Eq, Debug, PartialEq)]
#[avro(namespace = "vendor.geo")]
pub enum Sport {
    #[avro(rename = "ROAD_RIDE")]
    RoadRide,
    #[avro(rename = "run", default)]
    Run,
}

/// Where.
#[allow(missing_docs, non_camel_case_types)]
#[derive(telemetry_avro::AvroRecord, Clone, Debug, PartialEq)]
#[avro(namespace = "vendor.geo")]
pub struct Place {
    pub lat: f64,
    #[avro(default = -1.5)]
    pub lon: f64,
    #[avro(default = ["run"])]
    pub sports: ::std::vec::Vec<Sport>,
    pub near: ::std::option::Option<::std::boxed::Box<Place>>,
}

#[allow(missing_docs, non_camel_case_types)]
#[derive(telemetry_avro::AvroRecord, Clone, Debug, PartialEq)]
#[avro(namespace = "vendor")]
pub struct Lap {
    pub n: i32,
    #[avro(recursive)]
    pub parent: ::std::option::Option<::std::boxed::Box<Ride>>,
}

#[allow(missing_docs, non_camel_case_types)]
#[derive(telemetry_avro::AvroType, Clone, Debug, PartialEq)]
pub enum RideValue {
    Int(i32),
    String(::std::string::String),
    Null,
    #[avro(recursive)]
    Ride(::std::boxed::Box<Ride>),
    Array(::std::vec::Vec<f64>),
}

/// How long nobody rode.
#[allow(missing_docs, non_camel_case_types)]
#[derive(telemetry_avro::AvroType, Clone, Copy, Eq, Debug, PartialEq)]
#[avro(namespace = "vendor")]
#[avro(logical = "duration")]
pub struct Gap(pub [u8; 12]);

/// A ride,
/// as it was ridden.
#[allow(missing_docs, non_camel_case_types)]
#[derive(telemetry_avro::AvroRecord, Clone, Debug, PartialEq)]
#[avro(namespace = "vendor", alias = "vendor.Trip")]
pub struct Ride {
    #[avro(rename = "startedAt", event_time)]
    pub started_at: telemetry_avro::Timestamp,
    /// What kind of ride.
    #[avro(default = "ROAD_RIDE")]
    pub r#type: Sport,
    pub from: Place,
    pub to: ::std::option::Option<Place>,
    pub laps: ::std::vec::Vec<Lap>,
    #[avro(default = 7)]
    pub value: RideValue,
    #[avro(default = {})]
    pub tags: ::std::collections::BTreeMap<::std::string::String, ::std::option::Option<::std::string::String>>,
    #[avro(logical = "decimal", precision = 9, scale = 2, default = b"\x01\xff")]
    pub price: ::std::vec::Vec<u8>,
    #[avro(alias = "seenAt", logical = "timestamp-millis")]
    pub seen: ::std::option::Option<i64>,
    #[avro(default = null)]
    pub nothing: (),
    pub gap: Gap,
    pub id: telemetry_avro::Uuid,
    #[avro(default = [])]
    pub others: ::std::vec::Vec<telemetry_avro::Uuid>,
    #[avro(null_last, default = 0)]
    pub ended: ::std::option::Option<telemetry_avro::Timestamp>,
    #[avro(null_last)]
    pub next: ::std::option::Option<::std::boxed::Box<Ride>>,
    #[avro(logical = "decimal", precision = 5, scale = 0, null_last)]
    pub cost: ::std::option::Option<::std::vec::Vec<u8>>,
}
