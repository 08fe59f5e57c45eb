//! Beside `apache-avro`: it reads what we write, we read what it writes, and the two convert.
//!
//! Without a reader's schema: resolution is what it is known to get wrong. Datums of unions whose
//! branches look alike are left out, since it chooses a branch by the looks of the value.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use telemetry_avro::wire::Reader;
use telemetry_avro::{AvroRecord, Plan, Schema, Value};

use crate::agree::{Random, arbitrary_record, arbitrary_type, arbitrary_value};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn apache_avro_reads_and_writes_the_same_datums(seed: u64) {
        let r = &mut Random(seed);
        let mut names = 0;
        let text = if r.one_in(3) {
            arbitrary_type(r, 3, &mut names, false)
        } else {
            arbitrary_record(r, 3, &mut names)
        };
        let schema = Schema::parse(&text.to_string()).expect("an arbitrary schema");
        let value = arbitrary_value(r, &schema, schema.root_id());
        let mut datum = Vec::new();
        value.put(&mut datum);

        let theirs = apache_avro::Schema::try_from(&schema).expect("their schema");
        let form = theirs.canonical_form();
        prop_assert_eq!(form.as_str(), schema.canonical());
        let back = Schema::try_from(&theirs).expect("our schema");
        prop_assert_eq!(back.canonical(), schema.canonical());

        let reader = GenericDatumReader::builder(&theirs).build().expect("their reader");
        let read = reader.read_value(&mut &datum[..]).expect("our datum");
        let converted = value.to_apache_avro(&schema).expect("their value");
        prop_assert_eq!(&read, &converted);
        let again = Value::from_apache_avro(&schema, &read).expect("our value");
        prop_assert_eq!(&again, &value);

        let writer = GenericDatumWriter::builder(&theirs).build().expect("their writer");
        let written = writer.write_value_to_vec(converted).expect("their datum");
        let plan = Plan::compile(&schema, &schema).expect("a plan");
        let mut input = Reader::new(&written);
        // Their maps have no order.
        let sorted = |value: &Value| {
            let theirs = value.to_apache_avro(&schema).expect("their value");
            Value::from_apache_avro(&schema, &theirs).expect("our value")
        };
        let value = plan.value(&mut input).expect("their datum");
        prop_assert_eq!(sorted(&value), again);
        prop_assert!(input.is_empty());
    }
}

/// A field whose null is the last branch, and the same with the other order.
mod order {
    use telemetry_avro::AvroRecord;

    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    pub(crate) struct Last<'a> {
        #[avro(null_last, default = "none")]
        pub(crate) text: Option<&'a str>,
        #[avro(null_last, logical = "timestamp-millis")]
        pub(crate) at: Option<i64>,
        #[avro(null_last)]
        pub(crate) next: Option<Box<Last<'a>>>,
    }

    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    #[avro(name = "Last")]
    pub(crate) struct First<'a> {
        pub(crate) text: Option<&'a str>,
        #[avro(logical = "timestamp-millis")]
        pub(crate) at: Option<i64>,
        pub(crate) next: Option<Box<First<'a>>>,
    }
}

#[test]
fn a_null_that_is_last_stays_there() {
    use order::{First, Last};
    assert_eq!(
        Last::SCHEMA,
        r#"{"type":"record","name":"Last","fields":[{"name":"text","type":["string","null"],"default":"none"},{"name":"at","type":[{"type":"long","logicalType":"timestamp-millis"},"null"]},{"name":"next","type":["Last","null"]}]}"#
    );
    let inner = Last {
        text: None,
        at: Some(-1),
        next: None,
    };
    let record = Last {
        text: Some("x"),
        at: None,
        next: Some(Box::new(inner)),
    };
    let mut datum = Vec::new();
    record.put_datum(&mut datum);
    assert!(datum.len() <= record.datum_len_bound());
    assert_eq!(
        Last::read_datum(&mut Reader::new(&datum)),
        Ok(record.clone())
    );

    let schema = Schema::parse(Last::SCHEMA).expect("a schema");
    let theirs = apache_avro::Schema::try_from(&schema).expect("their schema");
    let reader = GenericDatumReader::builder(&theirs)
        .build()
        .expect("their reader");
    let read = reader.read_value(&mut &datum[..]).expect("our datum");
    let writer = GenericDatumWriter::builder(&theirs)
        .build()
        .expect("their writer");
    assert_eq!(writer.write_value_to_vec(read).expect("their datum"), datum);

    // To the other order and back.
    let first = Schema::parse(First::SCHEMA).expect("a schema");
    let plan = Plan::compile(&schema, &first).expect("a plan");
    let turned = First::decode(&plan, &mut Reader::new(&datum)).expect("a record");
    assert_eq!((turned.text, turned.at), (Some("x"), None));
    assert_eq!(
        turned.next.as_ref().map(|next| (next.text, next.at)),
        Some((None, Some(-1)))
    );
    let mut other = Vec::new();
    turned.put_datum(&mut other);
    let back = Plan::compile(&first, &schema).expect("a plan");
    assert_eq!(Last::decode(&back, &mut Reader::new(&other)), Ok(record));

    // The default is one of the first branch.
    let none = Schema::parse(
        r#"{"type":"record","name":"Last","fields":[
        {"name":"at","type":"null"},{"name":"next","type":"null"}]}"#,
    );
    let plan = Plan::compile(&none.expect("a schema"), &schema).expect("a plan");
    let made = Last::decode(&plan, &mut Reader::new(&[])).expect("a record");
    assert_eq!(
        made,
        Last {
            text: Some("none"),
            at: None,
            next: None
        }
    );
}
