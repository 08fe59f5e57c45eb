//! What stands around datums.

use telemetry_core::journal::{FrameHead, FrameKind, Scanner, Verdict, put_frame};
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

/// A journal of any bytes: frames come in order, each as it was written, and the end is judged.
/// A journal of frames that was damaged in one byte: all frames but the damaged one are found.
pub fn journal(bytes: &[u8]) {
    bounded("journal", bytes.len(), 16, 0, || scan(bytes));
    let Some((&[generation, low, high, flip], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let generation = u32::from(generation);
    let mut journal = Vec::new();
    let mut starts = Vec::new();
    for (seq, payload) in (1..).zip(bytes.chunks(24)) {
        starts.push(journal.len());
        let head = FrameHead {
            kind: FrameKind::Record,
            generation,
            stream: 0,
            flags: 0,
            seq,
        };
        put_frame(&mut journal, head, &[payload]).unwrap();
    }
    if starts.is_empty() || flip == 0 {
        return;
    }
    let at = usize::from(u16::from_le_bytes([low, high])) % journal.len();
    journal[at] ^= flip;
    let damaged = starts.partition_point(|start| *start <= at) - 1;
    let mut scanner = Scanner::new(&journal, generation);
    assert_eq!(scanner.by_ref().count(), damaged);
    let end = starts[damaged];
    let expected = match starts.get(damaged + 1) {
        Some(&resume) => Verdict::Corrupt { at: end, resume },
        None => Verdict::Torn { at: end },
    };
    assert_eq!(scanner.verdict(), expected);
}

fn scan(bytes: &[u8]) {
    let Some(first) = Scanner::first(bytes) else {
        let mut none = Scanner::new(bytes, 0);
        assert!(none.next().is_none());
        let _ = none.verdict();
        return;
    };
    let mut scanner = Scanner::new(bytes, first.head.generation);
    let mut end = 0;
    for frame in scanner.by_ref() {
        assert_eq!(frame.offset, end);
        end = frame.end();
        let mut again = Vec::new();
        put_frame(&mut again, frame.head, &[frame.payload]).unwrap();
        assert_eq!(again, bytes[frame.offset..end]);
    }
    assert_eq!(scanner.offset(), end);
    let _ = scanner.verdict();
}
