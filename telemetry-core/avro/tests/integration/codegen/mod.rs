//! Types made of `.avsc` files that refer to each other, compiled.

use telemetry_avro::codegen::generate;
use telemetry_avro::wire::Reader;
use telemetry_avro::{AvroRecord, Plan, Schema, Timestamp, Uuid};

const RIDE: &str = include_str!("ride.avsc");
const PLACE: &str = include_str!("place.avsc");

#[allow(
    unreachable_pub,
    reason = "a crate that includes the code may export it"
)]
mod made {
    include!("made.rs");
}

use made::{Gap, Lap, Place, Ride, RideValue, Sport};

/// `made.rs` is what the example `avsc_to_rust` prints for the two files.
#[test]
fn the_code_is_what_was_compiled() {
    assert_eq!(
        generate(&[RIDE, PLACE]).as_deref(),
        Ok(include_str!("made.rs"))
    );
}

#[test]
fn the_types_have_the_schemas_they_were_made_of() {
    let ride = Schema::parse_with_references(RIDE, &[PLACE]).unwrap();
    assert_eq!(Ride::CANONICAL, ride.canonical());
    let place = Schema::parse(PLACE).unwrap();
    assert_eq!(Place::CANONICAL, place.canonical());
    assert!(Ride::SCHEMA.contains(r#""doc":"A ride, as it was ridden.""#));
    // Defaults, aliases and logical types came along.
    assert_eq!(
        Schema::parse(Ride::SCHEMA).unwrap().meaning(),
        ride.meaning()
    );
    let empty = r#"{"type":"record","name":"Trip","namespace":"vendor","fields":[]}"#;
    let plan = Plan::compile(
        &Schema::parse(empty).unwrap(),
        &Schema::parse(Ride::SCHEMA).unwrap(),
    );
    let missing: Vec<_> = plan
        .unwrap()
        .problems()
        .iter()
        .map(|p| p.path.clone())
        .collect();
    assert_eq!(
        missing,
        [
            "vendor.Ride.startedAt",
            "vendor.Ride.from",
            "vendor.Ride.laps",
            "vendor.Ride.gap",
            "vendor.Ride.id",
            "vendor.Ride.next",
            "vendor.Ride.cost"
        ]
    );
}

#[test]
fn values_of_the_types_round_trip() {
    let place = Place {
        lat: 1.0,
        lon: 2.0,
        sports: vec![Sport::RoadRide, Sport::Run],
        near: None,
    };
    let ride = Ride {
        started_at: Timestamp::from_micros(5),
        r#type: Sport::Run,
        from: Place {
            near: Some(Box::new(place.clone())),
            ..place.clone()
        },
        to: Some(place),
        laps: vec![Lap { n: 1, parent: None }],
        value: RideValue::Array(vec![1.0]),
        tags: [("a".to_owned(), None)].into(),
        price: vec![1],
        seen: Some(3),
        nothing: (),
        gap: Gap([7; 12]),
        id: Uuid::from_u128(7),
        others: vec![Uuid::from_u128(8)],
        ended: Some(Timestamp::from_micros(6)),
        next: None,
        cost: Some(vec![1, 2]),
    };
    let outer = Ride {
        value: RideValue::Ride(Box::new(ride.clone())),
        ..ride
    };
    let mut datum = Vec::new();
    outer.put_datum(&mut datum);
    assert_eq!(
        Ride::read_datum(&mut Reader::new(&datum)),
        Ok(outer.clone())
    );
    assert_eq!(outer.event_time(), Some(Timestamp::from_micros(5)));
}
