use std::fs::File;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{Plan, Schema, Value};

fn values<R: std::io::Read>(mut reader: OcfReader<R>) -> Result<Vec<Value>, OcfError> {
    let plan = Plan::compile(reader.schema(), reader.schema()).unwrap();
    let mut values = Vec::new();
    while let Some(mut block) = reader.block()? {
        while let Some(value) = block.next(|input| plan.value(input)) {
            values.push(value?);
        }
    }
    Ok(values)
}

fn open(name: &str) -> File {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/avro/share/data");
    File::open(data.join(name)).unwrap()
}

fn reference(name: &str) -> OcfReader<File> {
    OcfReader::new(open(name)).unwrap()
}

#[test]
fn reads_the_files_of_the_reference() {
    let record = |station: &str, time: i64, temp: i32| {
        Value::Record(vec![
            Value::String(station.to_owned()),
            Value::Long(time),
            Value::Int(temp),
        ])
    };
    let weather = [
        record("011990-99999", -619_524_000_000, 0),
        record("011990-99999", -619_506_000_000, 22),
        record("011990-99999", -619_484_400_000, -11),
        record("012650-99999", -655_531_200_000, 111),
        record("012650-99999", -655_509_600_000, 78),
    ];
    for (name, codec) in [
        ("weather.avro", Codec::Null),
        ("weather-deflate.avro", Codec::Deflate),
        ("weather-snappy.avro", Codec::Snappy),
        ("weather-zstd.avro", Codec::Zstandard),
    ] {
        let reader = reference(name);
        assert_eq!(reader.codec(), codec, "{name}");
        assert_eq!(values(reader).unwrap(), weather, "{name}");
    }
    assert_eq!(values(reference("weather-sorted.avro")).unwrap().len(), 5);
    for name in [
        "syncInMeta.avro",
        "schemas/simple/data.avro",
        "schemas/withUnion/data.avro",
    ] {
        assert!(!values(reference(name)).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn files_of_avro_1_2_are_named() {
    let error = OcfReader::new(open("test.avro12")).unwrap_err();
    assert!(matches!(
        error,
        OcfError::Magic {
            found: [b'O', b'b', b'j', 0]
        }
    ));
}

fn file(codec: Codec, datums: &[Vec<u8>], block_bytes: usize) -> Vec<u8> {
    let schema = Schema::parse(r#""bytes""#).unwrap();
    let metadata = [("vendor.note", &b"kept"[..])];
    let limits = OcfLimits {
        block_bytes,
        ..OcfLimits::default()
    };
    let mut writer =
        OcfWriter::with_limits(Vec::new(), &schema, codec, [0xa5; 16], metadata, limits).unwrap();
    for datum in datums {
        writer
            .push_with(|block| Value::Bytes(datum.clone()).put(block))
            .unwrap();
    }
    writer.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn files_round_trip_with_every_codec(
        datums in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
        block_bytes in 1usize..4_000,
    ) {
        let expected: Vec<Value> = datums.iter().cloned().map(Value::Bytes).collect();
        for (codec, _) in Codec::ALL {
            let file = file(*codec, &datums, block_bytes);
            let reader = OcfReader::new(&file[..]).unwrap();
            prop_assert_eq!(&reader.metadata()["vendor.note"], b"kept");
            prop_assert_eq!(&values(reader).unwrap(), &expected);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, flip in any::<(usize, u8)>()) {
        if let Ok(reader) = OcfReader::new(&bytes[..]) {
            let _ = values(reader);
        }
        for (codec, _) in Codec::ALL {
            let mut file = file(*codec, &[bytes.clone(), vec![0; 300]], 64);
            let at = flip.0 % file.len();
            file[at] ^= flip.1;
            if let Ok(reader) = OcfReader::new(&file[..]) {
                let _ = values(reader);
            }
        }
    }
}

#[test]
fn a_cut_file_gives_whole_blocks_and_says_where_it_ends() {
    let file = file(Codec::Null, &[vec![1], vec![2], vec![3]], 1);
    let whole = OcfReader::new(&file[..]).unwrap();
    assert_eq!(values(whole).unwrap().len(), 3);
    // Each block: count, length, two bytes of a datum, marker.
    let block = 1 + 1 + 2 + MARKER_LEN;
    let start = file.len() - 3 * block;
    for cut in start..file.len() {
        let mut reader = OcfReader::new(&file[..cut]).unwrap();
        let mut blocks = 0;
        let end = loop {
            match reader.block() {
                Ok(Some(_)) => blocks += 1,
                Ok(None) => break None,
                Err(OcfError::End { offset, .. }) => break Some(offset),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(blocks, (cut - start) / block);
        let is_whole = (cut - start).is_multiple_of(block);
        assert_eq!(end, (!is_whole).then_some(cut as u64), "{cut}");
    }
    for cut in 0..start {
        assert!(OcfReader::new(&file[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let limits = OcfLimits {
        block_bytes_max: 100_000,
        ..OcfLimits::default()
    };
    for (codec, name) in Codec::ALL {
        let bomb = file(*codec, &[vec![0; 1_000_000]], 1);
        let mut reader = OcfReader::with_limits(&bomb[..], limits).unwrap();
        assert!(
            matches!(reader.block(), Err(OcfError::Limit { max: 100_000, .. })),
            "{name}"
        );
    }
}

#[test]
fn damage_is_named() {
    let good = file(Codec::Snappy, &[vec![7; 100]], 1);
    let error = |file: &[u8]| match OcfReader::new(file) {
        Ok(reader) => values(reader).unwrap_err(),
        Err(error) => error,
    };
    let mut bad = good.clone();
    bad[0] = b'o';
    assert!(matches!(error(&bad), OcfError::Magic { .. }));
    let mut bad = good.clone();
    let at = bad.len() - 1;
    bad[at] ^= 1;
    assert!(matches!(error(&bad), OcfError::Format { .. }), "marker");
    let mut bad = good.clone();
    let at = bad.len() - MARKER_LEN - 1;
    bad[at] ^= 1;
    assert!(matches!(error(&bad), OcfError::Unpack { .. }), "CRC-32");

    let name = b"snappy";
    let at = good.windows(6).position(|w| w == name).unwrap();
    let mut bad = good;
    bad[at] = b'z';
    assert!(matches!(error(&bad), OcfError::Codec { name } if name == "znappy"));
}

#[test]
fn a_block_that_claims_datums_without_bytes_is_bounded() {
    let schema = Schema::parse(r#""null""#).unwrap();
    let mut file = OcfWriter::new(Vec::new(), &schema, Codec::Null, [1; 16])
        .unwrap()
        .finish()
        .unwrap();
    crate::wire::put_long(&mut file, 1 << 40);
    file.push(0);
    file.extend([1; 16]);
    let mut reader = OcfReader::new(&file[..]).unwrap();
    assert!(matches!(reader.block(), Err(OcfError::Limit { .. })));
}
