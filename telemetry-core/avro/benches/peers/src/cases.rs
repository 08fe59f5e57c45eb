//! What is measured, and that all of it gives the same.

use std::hint::black_box;

use apache_avro::Schema as ApacheSchema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as ApacheValue;
use apache_avro::writer::datum::GenericDatumWriter;
use arrow_array::RecordBatch;
use arrow_avro::reader::{Decoder, DecoderMode, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, SchemaStore};
use arrow_avro::writer::WriterBuilder;
use arrow_avro::writer::format::AvroBinaryFormat;
use prost::Message as _;
use serde_avro_fast::ser::SerializerConfig;
use telemetry_avro::arrow::{Columns, encode};
use telemetry_avro::wire::Reader;
use telemetry_avro::{AvroRecord, Plan, Schema};

use crate::fory::ForySide;
use crate::measure::Cases;
use crate::model::{
    Hr, Hr2, HrProto, Telemetry, Telemetry2, Telemetry2Ref, TelemetryProto, TelemetryRef,
    TelemetryView, V2, heart_rates, telemetry, v2_without_alias,
};

/// A record's type in every library's terms, and its datums.
struct Side<R> {
    records: Vec<R>,
    buffer: Vec<u8>,
    ends: Vec<usize>,
    plan: Plan,
    /// From the writer's schema to the writer's.
    same: Plan,
    schemas: [Schema; 2],
    fast: serde_avro_fast::Schema,
    writer: ApacheSchema,
    /// The reader's schema as far as apache-avro resolves it: without aliases of fields.
    reader: ApacheSchema,
}

/// Rows of a batch beside the records of a pass: what a column costs once is spread over more.
const BATCH: usize = 5;

pub struct Corpus {
    large: Side<Telemetry>,
    large_rows: Side<Telemetry>,
    small_rows: Side<Hr>,
    large_proto: Vec<TelemetryProto>,
    small: Side<Hr>,
    small_proto: Vec<HrProto>,
    pub fory: ForySide,
}

impl<R: AvroRecord> Side<R> {
    fn new(records: Vec<R>, reader: &str, reader_without_alias: &str) -> Self {
        let (mut buffer, mut ends) = (Vec::new(), Vec::new());
        for record in &records {
            record.put_datum(&mut buffer);
            ends.push(buffer.len());
        }
        let schema = |text| Schema::parse(text).expect("a schema of the derive");
        Self {
            records,
            buffer,
            ends,
            plan: Plan::compile(&schema(R::SCHEMA), &schema(reader)).expect("schemas resolve"),
            same: Plan::compile(&schema(R::SCHEMA), &schema(R::SCHEMA)).expect("schemas resolve"),
            schemas: [schema(R::SCHEMA), schema(reader)],
            fast: R::SCHEMA.parse().expect("a schema of the derive"),
            writer: ApacheSchema::parse_str(R::SCHEMA).expect("a schema of the derive"),
            reader: ApacheSchema::parse_str(reader_without_alias).expect("a schema of the derive"),
        }
    }

    fn datums(&self) -> Vec<&[u8]> {
        let mut start = 0;
        self.ends
            .iter()
            .map(|&end| &self.buffer[std::mem::replace(&mut start, end)..end])
            .collect()
    }

    /// arrow-avro's decoder of datums without a frame.
    fn decoder(&self, reader: Option<&str>) -> Decoder {
        let mut store = SchemaStore::new();
        let writer = AvroSchema::new(self.schemas[0].json().to_owned());
        let print = store.register(writer).expect("a schema of the derive");
        let builder = ReaderBuilder::new()
            .with_writer_schema_store(store)
            .with_active_fingerprint(print)
            .with_batch_size(self.records.len())
            .with_decoder_mode(DecoderMode::UnframedDatum);
        let builder = match reader {
            Some(reader) => builder.with_reader_schema(AvroSchema::new(reader.to_owned())),
            None => builder,
        };
        builder.build_decoder().expect("a decoder")
    }

    /// The records as a batch, by arrow-avro and by us.
    fn batches(&self, resolved: bool) -> [RecordBatch; 2] {
        let reader = resolved.then(|| self.schemas[1].json());
        let mut decoder = self.decoder(reader);
        let (plan, schema) = if resolved {
            (&self.plan, &self.schemas[1])
        } else {
            (&self.same, &self.schemas[0])
        };
        let mut columns = Columns::new(plan, schema).expect("columns");
        for datum in self.datums() {
            decoder.decode(datum).expect("a datum");
            columns.push(&mut Reader::new(datum)).expect("a datum");
        }
        let theirs = decoder.flush().expect("a batch").expect("rows");
        [theirs, columns.finish().expect("a batch")]
    }

    /// Compares column by column.
    fn check_batches(&self) {
        for resolved in [false, true] {
            let [theirs, ours] = self.batches(resolved);
            assert_eq!(theirs.num_columns(), ours.num_columns());
            for (theirs, ours) in theirs.columns().iter().zip(ours.columns()) {
                assert_eq!(plain(theirs.as_ref()), plain(ours.as_ref()));
            }
        }
    }

    fn size(&self) -> (usize, usize) {
        (self.records.len(), self.buffer.len())
    }
}

impl Corpus {
    pub fn new(records: usize) -> Self {
        let large = |n| Side::new(telemetry(n), V2, &v2_without_alias());
        let small = |n| Side::new(heart_rates(n), Hr2::SCHEMA, Hr2::SCHEMA);
        let (large_rows, small_rows) = (large(BATCH * records), small(BATCH * records));
        let (large, small) = (large(records), small(records));
        let corpus = Self {
            large_proto: large.records.iter().map(TelemetryProto::from).collect(),
            small_proto: small.records.iter().map(HrProto::from).collect(),
            fory: ForySide::new(&large.records, large.buffer.len()),
            large,
            large_rows,
            small,
            small_rows,
        };
        corpus.check();
        corpus
    }

    /// Every library reads and writes the same.
    fn check(&self) {
        self.large_rows.check_batches();
        self.small_rows.check_batches();
        let side = &self.large;
        let writer = GenericDatumWriter::builder(&side.writer)
            .build()
            .expect("a writer");
        for (record, datum) in side.records.iter().zip(side.datums()) {
            let apache = writer.write_ser_to_vec(record).expect("a datum");
            assert_eq!(apache, datum);
            let mut fast = Vec::new();
            serde_avro_fast::to_datum(record, &mut fast, &mut SerializerConfig::new(&side.fast))
                .expect("a datum");
            assert_eq!(fast, datum);
            let evolved = record.evolved();
            assert_eq!(
                Telemetry::read_datum(&mut Reader::new(datum)).as_ref(),
                Ok(record)
            );
            let view = TelemetryView::read_datum(&mut Reader::new(datum)).expect("a datum");
            assert!(view.samples.iter().eq(record.samples.iter().copied()));
            assert!(
                view.tags
                    .iter()
                    .eq(record.tags.iter().map(|(k, v)| (&**k, &**v)))
            );
            assert_eq!(
                Telemetry2::decode(&side.plan, &mut Reader::new(datum)).as_ref(),
                Ok(&evolved)
            );
            let theirs: Telemetry2 =
                serde_avro_fast::from_datum_slice(datum, &side.fast).expect("a datum");
            assert_eq!(theirs, evolved);
        }
        let side = &self.small;
        for (record, datum) in side.records.iter().zip(side.datums()) {
            let ours = Hr2::decode(&side.plan, &mut Reader::new(datum)).expect("a datum");
            let theirs: Hr2 =
                serde_avro_fast::from_datum_slice(datum, &side.fast).expect("a datum");
            assert_eq!(ours, theirs);
            assert_eq!(Hr::read_datum(&mut Reader::new(datum)).as_ref(), Ok(record));
        }
    }
}

/// A column without names of inner fields and metadata, which each library sets as it likes.
fn plain(array: &dyn arrow_array::Array) -> String {
    format!("{array:?}")
}

/// Datums of rows, into a batch.
fn to_arrow<'a, R>(side: &'a Side<R>, plan: &'a Plan, schema: &'a Schema) -> impl FnMut() + 'a
where
    R: AvroRecord,
{
    let datums = side.datums();
    let mut columns = Columns::new(plan, schema).expect("columns");
    move || {
        for datum in &datums {
            columns.push(&mut Reader::new(datum)).expect("a datum");
        }
        black_box(columns.finish().expect("a batch"));
    }
}

/// The same by arrow-avro.
fn to_arrow_avro<'a, R: AvroRecord>(side: &'a Side<R>, reader: Option<&str>) -> impl FnMut() + 'a {
    let datums = side.datums();
    let mut decoder = side.decoder(reader);
    move || {
        for datum in &datums {
            decoder.decode(datum).expect("a datum");
        }
        black_box(decoder.flush().expect("a batch"));
    }
}

fn arrow<'a, R: AvroRecord>(
    side: &'a Side<R>,
    [from, to, resolve]: [&'static str; 3],
    cases: &mut Cases<'a>,
) {
    let size = side.size();
    let [writer, reader] = &side.schemas;
    cases.add(
        to,
        "telemetry-core",
        size,
        to_arrow(side, &side.same, writer),
    );
    cases.add(to, "arrow-avro", size, to_arrow_avro(side, None));
    cases.add(
        resolve,
        "telemetry-core",
        size,
        to_arrow(side, &side.plan, reader),
    );
    cases.add(
        resolve,
        "arrow-avro",
        size,
        to_arrow_avro(side, Some(reader.json())),
    );
    let [theirs, ours] = side.batches(false);
    cases.add(from, "telemetry-core", size, move || {
        encode(writer, &ours, |_, datum| {
            black_box(datum);
        })
        .expect("rows");
    });
    let mut encoder = WriterBuilder::new((*theirs.schema()).clone())
        .build_encoder::<AvroBinaryFormat>()
        .expect("an encoder");
    cases.add(from, "arrow-avro", size, move || {
        encoder.encode(&theirs).expect("rows");
        black_box(encoder.flush());
    });
}

/// Runs `read` for each item.
fn each<T: Copy, U>(items: Vec<T>, mut read: impl FnMut(T) -> U) -> impl FnMut() {
    move || {
        for &item in &items {
            black_box(read(item));
        }
    }
}

/// Runs `put` for each item, into one buffer with room for all.
fn into<'a, T>(
    items: &'a [T],
    room: usize,
    mut put: impl FnMut(&T, &mut Vec<u8>) + 'a,
) -> impl FnMut() + 'a {
    let mut out = Vec::with_capacity(2 * room + 4096);
    move || {
        out.clear();
        for item in items {
            put(item, &mut out);
        }
        black_box(&out);
    }
}

pub fn add<'a>(corpus: &'a Corpus, cases: &mut Cases<'a>) {
    large(corpus, cases);
    corpus.fory.add(cases);
    schemas(&corpus.large.schemas, cases);
    arrow(
        &corpus.large_rows,
        ["encode from Arrow", "decode to Arrow", "resolve to Arrow"],
        cases,
    );
    small(corpus, cases);
    arrow(
        &corpus.small_rows,
        [
            "small: encode from Arrow",
            "small: decode to Arrow",
            "small: resolve to Arrow",
        ],
        cases,
    );
}

fn copy<'a, R>(side: &'a Side<R>, datums: Vec<&'a [u8]>) -> impl FnMut() + 'a {
    let mut out = vec![0; side.buffer.len()];
    move || {
        let mut at = 0;
        for datum in &datums {
            out[at..at + datum.len()].copy_from_slice(datum);
            at += datum.len();
        }
        black_box(&out);
    }
}

/// What is done once for a schema, or a pair of them.
fn schemas<'a>([writer, reader]: &'a [Schema; 2], cases: &mut Cases<'a>) {
    let text = writer.json();
    let size = (1, text.len());
    let group = "schema parse";
    cases.add(group, "telemetry-core", size, move || {
        black_box(Schema::parse(text).expect("a schema"));
    });
    cases.add(group, "apache-avro", size, move || {
        black_box(ApacheSchema::parse_str(text).expect("a schema"));
    });
    cases.add(group, "serde_avro_fast", size, move || {
        let schema: serde_avro_fast::Schema = text.parse().expect("a schema");
        black_box(schema);
    });
    cases.add("plan compile", "telemetry-core", size, move || {
        black_box(Plan::compile(writer, reader).expect("schemas resolve"));
    });
}

fn large<'a>(corpus: &'a Corpus, cases: &mut Cases<'a>) {
    let side = &corpus.large;
    let (records, size, room) = (&side.records[..], side.size(), side.buffer.len());
    let datums = || side.datums();
    let leak = |reader| -> &'a GenericDatumReader<'a> { Box::leak(Box::new(reader)) };
    let writer = GenericDatumWriter::builder(&side.writer)
        .build()
        .expect("a writer");
    let reader = leak(
        GenericDatumReader::builder(&side.writer)
            .build()
            .expect("a reader"),
    );
    let resolver = leak(
        GenericDatumReader::builder(&side.writer)
            .reader_schema(&side.reader)
            .build()
            .expect("a reader"),
    );
    let values: Vec<ApacheValue> = side
        .datums()
        .iter()
        .map(|datum| reader.read_value(&mut &datum[..]).expect("a datum"))
        .collect();
    let values: &'a [ApacheValue] = values.leak();
    let writer: &'a GenericDatumWriter<'a> = Box::leak(Box::new(writer));

    let group = "encode";
    cases.add(
        group,
        "telemetry-core",
        size,
        into(records, room, |r, out| r.put_datum(out)),
    );
    cases.add(
        group,
        "telemetry-core message",
        size,
        into(records, room, |r, out| r.encode(out)),
    );
    cases.add(group, "memcpy", size, copy(side, datums()));
    cases.add(
        group,
        "prost",
        size,
        into(&corpus.large_proto, room, |r, out| {
            r.encode(out).expect("room");
        }),
    );
    cases.add(
        group,
        "postcard",
        size,
        into(records, room, |r, out| {
            *out = postcard::to_extend(r, std::mem::take(out)).expect("room");
        }),
    );
    let mut config = SerializerConfig::new(&side.fast);
    cases.add(
        group,
        "serde_avro_fast",
        size,
        into(records, room, move |r, out| {
            serde_avro_fast::to_datum(r, out, &mut config).expect("a datum");
        }),
    );
    cases.add(
        group,
        "apache-avro direct",
        size,
        into(records, room, |r, out| {
            writer.write_ser(out, r).expect("a datum");
        }),
    );
    cases.add(
        group,
        "apache-avro value",
        size,
        into(values, room, |v, out| {
            writer.write_value_ref(out, v).expect("a datum");
        }),
    );

    let protos: &'a [Vec<u8>] = corpus
        .large_proto
        .iter()
        .map(|r| r.encode_to_vec())
        .collect::<Vec<_>>()
        .leak();
    let cards: &'a [Vec<u8>] = records
        .iter()
        .map(|r| postcard::to_stdvec(r).expect("room"))
        .collect::<Vec<_>>()
        .leak();
    let group = "decode";
    cases.add(
        group,
        "telemetry-core borrowed",
        size,
        each(datums(), |d| {
            TelemetryRef::read_datum(&mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "telemetry-core view",
        size,
        each(datums(), |d| {
            TelemetryView::read_datum(&mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "telemetry-core owned",
        size,
        each(datums(), |d| {
            Telemetry::read_datum(&mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "serde_avro_fast borrowed",
        size,
        each(datums(), |d| {
            serde_avro_fast::from_datum_slice::<TelemetryRef>(d, &side.fast).expect("a datum")
        }),
    );
    cases.add(
        group,
        "serde_avro_fast owned",
        size,
        each(datums(), |d| {
            serde_avro_fast::from_datum_slice::<Telemetry>(d, &side.fast).expect("a datum")
        }),
    );
    cases.add(
        group,
        "apache-avro direct",
        size,
        each(datums(), |mut d| {
            reader.read_deser::<Telemetry>(&mut d).expect("a datum")
        }),
    );
    cases.add(
        group,
        "apache-avro value",
        size,
        each(datums(), |mut d| {
            reader.read_value(&mut d).expect("a datum")
        }),
    );
    cases.add(
        group,
        "prost owned",
        size,
        each(protos.iter().collect(), |d| {
            TelemetryProto::decode(&d[..]).expect("a message")
        }),
    );
    cases.add(
        group,
        "postcard borrowed",
        size,
        each(cards.iter().collect(), |d| {
            postcard::from_bytes::<TelemetryRef>(d).expect("a message")
        }),
    );
    cases.add(
        group,
        "postcard owned",
        size,
        each(cards.iter().collect(), |d| {
            postcard::from_bytes::<Telemetry>(d).expect("a message")
        }),
    );

    let group = "resolve";
    cases.add(
        group,
        "telemetry-core borrowed",
        size,
        each(datums(), |d| {
            Telemetry2Ref::decode(&side.plan, &mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "telemetry-core owned",
        size,
        each(datums(), |d| {
            Telemetry2::decode(&side.plan, &mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "telemetry-core value",
        size,
        each(datums(), |d| {
            side.plan.value(&mut Reader::new(d)).expect("a datum")
        }),
    );
    let mut out = Vec::with_capacity(1024);
    cases.add(
        group,
        "telemetry-core transcode",
        size,
        each(datums(), move |d| {
            out.clear();
            side.plan
                .transcode(&mut Reader::new(d), &mut out)
                .expect("a datum");
        }),
    );
    cases.add(
        group,
        "serde_avro_fast borrowed",
        size,
        each(datums(), |d| {
            serde_avro_fast::from_datum_slice::<Telemetry2Ref>(d, &side.fast).expect("a datum")
        }),
    );
    cases.add(
        group,
        "serde_avro_fast owned",
        size,
        each(datums(), |d| {
            serde_avro_fast::from_datum_slice::<Telemetry2>(d, &side.fast).expect("a datum")
        }),
    );
    cases.add(
        group,
        "apache-avro value",
        size,
        each(datums(), |mut d| {
            resolver.read_value(&mut d).expect("a datum")
        }),
    );
}

fn small<'a>(corpus: &'a Corpus, cases: &mut Cases<'a>) {
    let side = &corpus.small;
    let (records, size, room) = (&side.records[..], side.size(), side.buffer.len());
    let datums = || side.datums();
    let writer: &'a GenericDatumWriter<'a> = Box::leak(Box::new(
        GenericDatumWriter::builder(&side.writer)
            .build()
            .expect("a writer"),
    ));
    let reader: &'a GenericDatumReader<'a> = Box::leak(Box::new(
        GenericDatumReader::builder(&side.writer)
            .build()
            .expect("a reader"),
    ));
    let resolver: &'a GenericDatumReader<'a> = Box::leak(Box::new(
        GenericDatumReader::builder(&side.writer)
            .reader_schema(&side.reader)
            .build()
            .expect("a reader"),
    ));
    let group = "small: encode";
    cases.add(
        group,
        "telemetry-core",
        size,
        into(records, room, |r, out| r.put_datum(out)),
    );
    cases.add(group, "memcpy", size, copy(side, datums()));
    cases.add(
        group,
        "prost",
        size,
        into(&corpus.small_proto, room, |r, out| {
            r.encode(out).expect("room");
        }),
    );
    cases.add(
        group,
        "postcard",
        size,
        into(records, room, |r, out| {
            *out = postcard::to_extend(r, std::mem::take(out)).expect("room");
        }),
    );
    let mut config = SerializerConfig::new(&side.fast);
    cases.add(
        group,
        "serde_avro_fast",
        size,
        into(records, room, move |r, out| {
            serde_avro_fast::to_datum(r, out, &mut config).expect("a datum");
        }),
    );
    cases.add(
        group,
        "apache-avro direct",
        size,
        into(records, room, |r, out| {
            writer.write_ser(out, r).expect("a datum");
        }),
    );
    let protos: &'a [Vec<u8>] = corpus
        .small_proto
        .iter()
        .map(|r| r.encode_to_vec())
        .collect::<Vec<_>>()
        .leak();
    let group = "small: decode";
    cases.add(
        group,
        "telemetry-core",
        size,
        each(datums(), |d| {
            Hr::read_datum(&mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "serde_avro_fast",
        size,
        each(datums(), |d| {
            serde_avro_fast::from_datum_slice::<Hr>(d, &side.fast).expect("a datum")
        }),
    );
    cases.add(
        group,
        "apache-avro direct",
        size,
        each(datums(), |mut d| {
            reader.read_deser::<Hr>(&mut d).expect("a datum")
        }),
    );
    cases.add(
        group,
        "prost",
        size,
        each(protos.iter().collect(), |d| {
            HrProto::decode(&d[..]).expect("a message")
        }),
    );
    let group = "small: resolve";
    cases.add(
        group,
        "telemetry-core",
        size,
        each(datums(), |d| {
            Hr2::decode(&side.plan, &mut Reader::new(d)).expect("a datum")
        }),
    );
    cases.add(
        group,
        "serde_avro_fast",
        size,
        each(datums(), |d| {
            serde_avro_fast::from_datum_slice::<Hr2>(d, &side.fast).expect("a datum")
        }),
    );
    cases.add(
        group,
        "apache-avro value",
        size,
        each(datums(), |mut d| {
            resolver.read_value(&mut d).expect("a datum")
        }),
    );
}
