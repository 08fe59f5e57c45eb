//! The derives name only `core` and `telemetry-core`, whatever that is called here.

#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;

use tc::{AvroRecord, AvroType};

/// What happened.
#[derive(AvroType, Clone, Copy, Debug, PartialEq)]
#[avro(crate = "tc", namespace = "vendor")]
pub enum Event {
    /// A key went down.
    Down,
    /// And up.
    #[avro(default)]
    Up,
}

/// Some bytes.
#[derive(AvroType, Clone, Copy, Debug, PartialEq)]
#[avro(crate = "tc", namespace = "vendor")]
pub struct Tag([u8; 4]);

/// One thing or another.
#[derive(AvroType, Clone, Debug, PartialEq)]
#[avro(crate = "tc")]
pub enum Detail<'a> {
    /// Nothing.
    None,
    /// A text.
    Text(&'a str),
    /// A part.
    Part(Box<Part<'a>>),
}

/// A part of a record, which holds itself.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(crate = "tc", namespace = "vendor")]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// More of them.
    pub parts: Vec<Part<'a>>,
}

/// A record.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(crate = "tc", namespace = "vendor")]
pub struct Key<'a> {
    /// When.
    #[avro(event_time)]
    pub time: tc::Timestamp,
    /// What.
    #[avro(default = "Down")]
    pub event: Event,
    /// Marked with.
    pub tag: Option<Tag>,
    /// More.
    pub detail: Detail<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tc::wire::Reader;
    use tc::{Plan, Schema, Timestamp};

    #[test]
    fn derives_work_under_another_name_without_std() {
        let key = Key {
            time: Timestamp::from_micros(1),
            event: Event::Up,
            tag: Some(Tag(*b"abcd")),
            detail: Detail::Part(Box::new(Part {
                name: "p",
                parts: alloc::vec![],
            })),
        };
        let mut datum = Vec::new();
        key.put_datum(&mut datum);
        assert_eq!(datum, b"\x02\x02\x02abcd\x04\x02p\x00");
        assert_eq!(Key::read_datum(&mut Reader::new(&datum)), Ok(key.clone()));
        let schema = Schema::parse(Key::SCHEMA).unwrap();
        assert_eq!(schema.canonical(), Key::CANONICAL);
        let plan = Plan::compile(&schema, &schema).unwrap();
        assert_eq!(Key::decode(&plan, &mut Reader::new(&datum)), Ok(key));
    }
}
