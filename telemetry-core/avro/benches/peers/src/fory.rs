//! Apache Fory, with the same schema on both sides and with another one.

use std::hint::black_box;

use fory::Fory;

use crate::measure::Cases;
use crate::model::{KindFory, Telemetry, Telemetry2Fory, TelemetryFory};

/// Messages of both modes, and who reads them.
pub struct ForySide {
    records: Vec<TelemetryFory>,
    exact: Fory,
    compatible: Fory,
    /// Reads what `compatible` wrote as the second schema.
    evolved: Fory,
    exact_messages: Vec<Vec<u8>>,
    compatible_messages: Vec<Vec<u8>>,
    /// Bytes of the same records in Avro.
    bytes: usize,
}

fn fory<R: fory::StructSerializer>(compatible: bool) -> Fory {
    let mut fory = Fory::builder().xlang(false).compatible(compatible).build();
    fory.register::<R>(100).expect("a number of its own");
    fory.register::<KindFory>(101).expect("a number of its own");
    fory
}

impl ForySide {
    pub fn new(records: &[Telemetry], bytes: usize) -> Self {
        let made: Vec<TelemetryFory> = records.iter().map(TelemetryFory::from).collect();
        let (exact, compatible) = (fory::<TelemetryFory>(false), fory::<TelemetryFory>(true));
        let evolved = fory::<Telemetry2Fory>(true);
        let write = |fory: &Fory| -> Vec<Vec<u8>> {
            let messages = made.iter().map(|r| fory.serialize(r).expect("a message"));
            messages.collect()
        };
        let (exact_messages, compatible_messages) = (write(&exact), write(&compatible));
        for (i, record) in records.iter().enumerate() {
            let read: TelemetryFory = exact.deserialize(&exact_messages[i]).expect("a message");
            assert_eq!(read, made[i]);
            let read: Telemetry2Fory = evolved
                .deserialize(&compatible_messages[i])
                .expect("a message");
            assert_eq!(read, Telemetry2Fory::from(record));
        }
        Self {
            records: made,
            exact,
            compatible,
            evolved,
            exact_messages,
            compatible_messages,
            bytes,
        }
    }

    /// Bytes of a record: in Avro, in Fory's exact mode, in its compatible mode.
    pub fn sizes(&self) -> [usize; 3] {
        let of = |messages: &[Vec<u8>]| messages.iter().map(Vec::len).sum::<usize>();
        let all = [
            self.bytes,
            of(&self.exact_messages),
            of(&self.compatible_messages),
        ];
        all.map(|bytes| bytes / self.records.len())
    }

    pub fn add<'a>(&'a self, cases: &mut Cases<'a>) {
        let size = |messages: &[Vec<u8>]| (messages.len(), messages.iter().map(Vec::len).sum());
        let exact = size(&self.exact_messages);
        let compatible = size(&self.compatible_messages);
        for (name, fory, size) in [
            ("fory exact", &self.exact, exact),
            ("fory compatible", &self.compatible, compatible),
        ] {
            let mut out = Vec::with_capacity(4 * self.bytes);
            cases.add("encode", name, size, move || {
                out.clear();
                for record in &self.records {
                    fory.serialize_to(&mut out, record).expect("room");
                }
                black_box(&out);
            });
        }
        cases.add("decode", "fory exact, owned", exact, || {
            for message in &self.exact_messages {
                let read: TelemetryFory = self.exact.deserialize(message).expect("a message");
                black_box(read);
            }
        });
        cases.add("resolve", "fory compatible, owned", compatible, || {
            for message in &self.compatible_messages {
                let read: Telemetry2Fory = self.evolved.deserialize(message).expect("a message");
                black_box(read);
            }
        });
    }
}
