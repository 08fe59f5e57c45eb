//! What stands around datums.

use telemetry_core::ocf::{Codec, OcfError, OcfLimits, OcfReader};
use telemetry_core::prefix::{Expect, SchemaId};
use telemetry_core::records::ActivitySample;
use telemetry_core::{AvroRecord, BatchReader, Envelope, Plan, Schema, single_object};

use crate::bounded;

/// Messages, prefixes, batches and envelopes.
pub fn framing(bytes: &[u8]) {
    bounded("prefixes", bytes.len(), 16, 0, || {
        if let Ok((fingerprint, datum)) = single_object::split(bytes) {
            let again = [&single_object::header(fingerprint)[..], datum].concat();
            assert_eq!(again, bytes);
        }
        for expect in [Expect::Number, Expect::Global] {
            if let Ok((id, datum)) = SchemaId::split(bytes, expect) {
                let mut again = Vec::new();
                id.put(&mut again);
                again.extend_from_slice(datum);
                assert_eq!(again, bytes);
            }
        }
    });
    let envelope = bounded("envelope", bytes.len(), 16, 0, || {
        Envelope::from_avro(bytes)
    });
    if let Ok(envelope) = envelope {
        let mut again = Vec::new();
        envelope.to_avro(&mut again);
        assert_eq!(Envelope::from_avro(&again).unwrap(), envelope);
    }
    let schema = Schema::parse(ActivitySample::SCHEMA).unwrap();
    let plan = Plan::compile(&schema, &schema).unwrap();
    bounded("batch", bytes.len(), 16, 0, || {
        let array = schema.array_fingerprint();
        // A batch has ten bytes that say what it is; here they are given.
        let body = [&single_object::header(array)[..], bytes].concat();
        let Ok(mut reader) = BatchReader::new(&body, array) else {
            return;
        };
        while let Ok(Some(_)) = reader.record::<ActivitySample>(&plan) {}
        let _ = reader.finish();
    });
}

/// Container files: unpacked bytes count as input.
pub fn container(bytes: &[u8]) {
    let limits = OcfLimits {
        header_bytes_max: 4_096,
        block_bytes_max: 1 << 16,
        zero_width_max: 64,
        ..OcfLimits::default()
    };
    // What a codec keeps in this language, however small the file: the window and the tables of
    // inflate; bzip2's tables for a block of 900 kB, which its format says. Those of zstandard and
    // xz are C's, and not counted.
    let codec = OcfReader::with_limits(bytes, limits).map(|reader| reader.codec());
    let tables = match codec {
        Ok(Codec::Bzip2) => 5 << 20,
        Ok(Codec::Deflate) => 64 << 10,
        _ => 0,
    };
    let most = bytes.len() + limits.block_bytes_max;
    bounded("container", most, 16, tables, || {
        let Ok(mut reader) = OcfReader::with_limits(bytes, limits) else {
            return;
        };
        let Ok(plan) = Plan::compile(&reader.schema().clone(), &reader.schema().clone()) else {
            return;
        };
        let mut out = Vec::new();
        loop {
            match reader.block() {
                Ok(Some(mut block)) => {
                    while let Some(datum) = block.next(|input| {
                        out.clear();
                        plan.transcode(input, &mut out)
                    }) {
                        if datum.is_err() {
                            break;
                        }
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let _ = error.to_string();
                    assert!(!matches!(error, OcfError::Io(_)), "{error}");
                    return;
                }
            }
        }
    });
}
