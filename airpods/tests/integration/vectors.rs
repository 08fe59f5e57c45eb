//! Every vector of `testdata/airpods/vectors.json`.

use proptest::prelude::*;
use serde_json::{Value, json};
use telemetry_airpods::Model;
use telemetry_airpods::proximity::*;

fn file() -> Value {
    serde_json::from_str(include_str!("../../../testdata/airpods/vectors.json")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The frame in the words of the vectors.
fn describe(frame: &Frame) -> Value {
    let color = match frame.color {
        0 => "white".into(),
        raw => format!("0x{raw:02X}"),
    };
    let connection = match frame.activity {
        Activity::Disconnected => "disconnected".into(),
        Activity::Idle => "idle".into(),
        Activity::Music => "music".into(),
        Activity::Call => "call".into(),
        Activity::Ringing => "ringing".into(),
        Activity::HangingUp => "hanging_up".into(),
        Activity::Other(raw) => format!("0x{raw:02X}"),
    };
    let encrypted: String = frame.encrypted.iter().map(|b| format!("{b:02x}")).collect();
    let mut all = json!({
        "model_id": format!("0x{:04X}", frame.model.pid()),
        "model": frame.model.to_string(),
        "status": format!("0x{:02X}", frame.status),
        "color": color,
        "connection": connection,
        "encrypted": encrypted,
    });
    let pod = |p: Pod| json!({"battery": p.battery, "charging": p.charging, "in_ear": p.in_ear});
    let parts = match frame.parts {
        Parts::Single(s) => json!({
            "kind": "single", "battery": s.battery, "charging": s.charging, "worn": s.worn,
        }),
        Parts::Dual(d) => json!({
            "kind": "dual",
            "primary": match d.primary { Side::Left => "left", Side::Right => "right" },
            "left": pod(d.left),
            "right": pod(d.right),
            "case": {"battery": d.case.battery, "charging": d.case.charging},
            "this_pod_in_case": d.this_pod_in_case,
            "one_pod_in_case": d.one_pod_in_case,
            "both_pods_in_case": d.both_pods_in_case,
            "lid": match d.lid {
                Lid::NotInCase => "not_in_case",
                Lid::Unknown => "unknown",
                Lid::Open => "open",
                Lid::Closed => "closed",
            },
            "lid_counter": d.lid_counter,
        }),
    };
    let parts = parts.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(parts);
    all
}

#[test]
fn every_vector_means_what_it_says() {
    let file = file();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let found = match decode(&unhex(vector["hex"].as_str().unwrap())) {
            Ok(frame) => describe(&frame),
            Err(DecodeError::UnsupportedPrefix { .. }) => json!({"error": "unsupported_prefix"}),
            Err(other) => json!({"error": other.to_string()}),
        };
        assert_eq!(found, vector["expect"], "{}", vector["id"]);
    }
}

#[test]
fn only_resolvable_addresses_can_resolve() {
    for sample in file()["rpa"].as_array().unwrap() {
        let address = sample["address"].as_str().unwrap().replace(':', "");
        let address: [u8; 6] = unhex(&address).try_into().unwrap();
        assert_eq!(json!(is_resolvable(address)), sample["resolves"]);
    }
}

#[test]
fn refuses_in_the_documented_order() {
    let frame = unhex("07190124200b778f1100055f5740de21491ea5bcb9b3a07f8e950d");
    let with = |at: usize, byte| {
        let mut f = frame.clone();
        f[at] = byte;
        decode(&f)
    };
    assert_eq!(decode(&[]), Err(DecodeError::NoProximityMessage));
    assert_eq!(decode(&[0x10, 1, 0]), Err(DecodeError::NoProximityMessage));
    assert_eq!(
        decode(&[0x10, 1, 0, 7]),
        Err(DecodeError::TruncatedTlv { at: 3 })
    );
    assert_eq!(
        decode(&frame[..26]),
        Err(DecodeError::TruncatedTlv { at: 0 })
    );
    assert_eq!(
        with(1, 24).map(|_| ()),
        Err(DecodeError::BadLength { len: 24 })
    );
    assert_eq!(with(2, 0), Err(DecodeError::PairingMode));
    assert_eq!(
        with(2, 6),
        Err(DecodeError::UnsupportedPrefix { prefix: 6 })
    );
    assert_eq!(decode(&[7, 1, 0]), Err(DecodeError::PairingMode));
    assert_eq!(decode(&[7, 0]), Err(DecodeError::BadLength { len: 0 }));
    // Another record before it is walked over.
    let chained = [&[0x10, 2, 1, 2][..], &frame].concat();
    assert_eq!(decode(&chained), decode(&frame));
    // A product to come still has batteries.
    assert_eq!(with(3, 0x77).unwrap().model, Model::Unknown(0x2077));
}

#[test]
fn the_lid_is_unknown_while_only_the_pod_outside_speaks() {
    let lid = |status: u8| {
        let mut f = unhex("07190124200b778f1100055f5740de21491ea5bcb9b3a07f8e950d");
        f[5] = status;
        match decode(&f).unwrap().parts {
            Parts::Dual(d) => d.lid,
            Parts::Single(_) => unreachable!("two pods"),
        }
    };
    assert_eq!(
        (lid(0x00), lid(0x10), lid(0x50)),
        (Lid::NotInCase, Lid::Unknown, Lid::Open)
    );
}

/// Both status bytes were taken with only the left pod in an ear (OpenPods issue 109).
#[test]
fn ears_change_sides_when_the_sender_lies_in_the_case() {
    for status in [0x53, 0x33] {
        let mut f = unhex("07190124200b778f1100055f5740de21491ea5bcb9b3a07f8e950d");
        f[5] = status;
        let Parts::Dual(d) = decode(&f).unwrap().parts else {
            unreachable!("two pods")
        };
        assert_eq!(
            (d.left.in_ear, d.right.in_ear),
            (true, false),
            "{status:02x}"
        );
    }
}

#[test]
fn product_ids_are_distinct_and_round_trip() {
    for model in Model::ALL {
        assert_eq!(Model::from_pid(model.pid()), *model);
    }
    assert_eq!((rssi(127), rssi(0), rssi(-48)), (None, None, Some(-48)));
}

#[test]
fn debug_hides_the_encrypted_tail() {
    let frame = decode(&unhex(
        "07190124200b778f1100055f5740de21491ea5bcb9b3a07f8e950d",
    ))
    .unwrap();
    assert!(!format!("{frame:?}").contains("encrypted"));
}

proptest! {
    /// Bytes of any origin, and damaged frames, never panic.
    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64), tail: [u8; 24]) {
        let _ = decode(&bytes);
        let mut frame = vec![7, 25, 1];
        frame.extend(tail);
        prop_assert!(decode(&frame).is_ok());
    }
}
