//! Beside `apache-avro`: it reads what we write, we read what it writes, and the two convert.
//!
//! Without a reader's schema: resolution is what it is known to get wrong. Datums of unions whose
//! branches look alike are left out, since it chooses a branch by the looks of the value.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use telemetry_core::wire::Reader;
use telemetry_core::{Plan, Schema, Value};

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
