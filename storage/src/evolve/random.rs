//! Random schemas and records of them, by a seed.

use telemetry_core::wire::put_bytes;
use telemetry_core::{Kind, NodeId, Primitive, Schema, Value};

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// Types that one cell can hold, most of them.
const SCALARS: &[&str] = &[
    r#""boolean""#,
    r#""int""#,
    r#""long""#,
    r#""float""#,
    r#""double""#,
    r#""bytes""#,
    r#""string""#,
    r#"{"type":"string","logicalType":"uuid"}"#,
    r#"{"type":"int","logicalType":"date"}"#,
    r#"{"type":"int","logicalType":"time-millis"}"#,
    r#"{"type":"long","logicalType":"time-micros"}"#,
    r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    r#"{"type":"long","logicalType":"timestamp-micros"}"#,
    r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
    r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
    r#"{"type":"bytes","logicalType":"decimal","precision":60,"scale":2}"#,
];

/// The text of a random record.
pub(crate) fn schema(random: &mut Random) -> String {
    let mut names = 0;
    record(random, &mut names, 0)
}

fn record(random: &mut Random, names: &mut u32, depth: u32) -> String {
    *names += 1;
    let name = *names;
    let count = random.below(if depth == 0 { 7 } else { 4 });
    let fields: Vec<String> = (0..count)
        .map(|i| {
            let of = any(random, names, depth + 1);
            format!(r#"{{"name":"f{i}","type":{of}}}"#)
        })
        .collect();
    let fields = fields.join(",");
    format!(r#"{{"type":"record","name":"R{name}","fields":[{fields}]}}"#)
}

fn any(random: &mut Random, names: &mut u32, depth: u32) -> String {
    match random.below(if depth > 5 { 11 } else { 16 }) {
        0..=5 => (*random.pick(SCALARS)).to_owned(),
        6..=7 => format!(r#"["null",{}]"#, random.pick(SCALARS)),
        8 => format!(r#"[{},"null"]"#, random.pick(SCALARS)),
        9 => {
            *names += 1;
            format!(r#"{{"type":"enum","name":"E{names}","symbols":["A","B","null"]}}"#)
        }
        10 => {
            *names += 1;
            let size = random.below(20) + 1;
            let decimal = r#","logicalType":"decimal","precision":2,"scale":1"#;
            let decimal = if random.below(2) == 0 { decimal } else { "" };
            format!(r#"{{"type":"fixed","name":"F{names}","size":{size}{decimal}}}"#)
        }
        11 => format!(
            r#"{{"type":"array","items":{}}}"#,
            any(random, names, depth + 1)
        ),
        12 => format!(
            r#"{{"type":"map","values":{}}}"#,
            any(random, names, depth + 1)
        ),
        13 => record(random, names, depth),
        14 => format!(r#"["null",{}]"#, record(random, names, depth)),
        _ => {
            let wide = [
                r#"["null","int","string"]"#,
                r#"["string","null","bytes"]"#,
                r#"["int","long"]"#,
                r#"["boolean","double","string","bytes"]"#,
                r#"["null"]"#,
                r#"["double"]"#,
            ];
            (*random.pick(&wide)).to_owned()
        }
    }
}

/// A random datum of a node.
pub(crate) fn value(random: &mut Random, schema: &Schema, id: NodeId) -> Value {
    let integers = [
        0,
        1,
        -1,
        1_700_000_000_000,
        i64::MAX,
        i64::MIN,
        i64::from(i32::MAX),
    ];
    let reals = [
        0.0,
        -0.0,
        1.5,
        f64::NAN,
        f64::INFINITY,
        f64::MIN_POSITIVE,
        1e300,
    ];
    match &schema.node(id).kind {
        Kind::Primitive(primitive) => match primitive {
            Primitive::Null => Value::Null,
            Primitive::Boolean => Value::Boolean(random.below(2) == 0),
            Primitive::Int => Value::Int(*random.pick(&integers) as i32),
            Primitive::Long => Value::Long(*random.pick(&integers)),
            Primitive::Float => Value::Float(*random.pick(&reals) as f32),
            Primitive::Double => Value::Double(*random.pick(&reals)),
            Primitive::Bytes => Value::Bytes(bytes(random)),
            Primitive::String => {
                let texts = [
                    "",
                    "a\0b",
                    "0f4a8f5e-0000-4000-8000-000000000001",
                    "0F4A8F5E-0000-4000-8000-000000000001",
                    "ü\u{202e}",
                ];
                Value::String((*random.pick(&texts)).to_owned())
            }
        },
        Kind::Fixed(fixed) => {
            let byte = *random.pick(&[0x00, 0x7f, 0x80, 0xff]);
            let mut bytes = vec![byte; fixed.size as usize];
            if let Some(last) = bytes.last_mut() {
                *last = random.next() as u8;
            }
            Value::Fixed(bytes)
        }
        Kind::Enum(of) => Value::Enum(random.below(of.symbols.len() as u64) as u32),
        Kind::Array(item) => {
            let items = (0..random.below(3)).map(|_| value(random, schema, *item));
            Value::Array(items.collect())
        }
        Kind::Map(item) => {
            let item = |i: u64| (format!("k{i}"), value(random, schema, *item));
            Value::Map((0..2).map(item).collect())
        }
        Kind::Union(branches) => {
            let branch = random.below(branches.len() as u64) as usize;
            let inner = value(random, schema, branches[branch]);
            Value::Union(branch as u32, Box::new(inner))
        }
        Kind::Record(of) => {
            let fields = of.fields.iter().map(|f| value(random, schema, f.node));
            Value::Record(fields.collect())
        }
    }
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let all: [&[u8]; 8] = [
        &[],
        &[0],
        &[0, 0],
        &[0x7f],
        &[0xff, 0x80],
        &[0xff, 0xff],
        &[1; 16],
        &[0x80; 17],
    ];
    (*random.pick(&all)).to_vec()
}

/// A datum as it stands in a batch.
pub(crate) fn datum(random: &mut Random, schema: &Schema) -> Vec<u8> {
    let mut out = Vec::new();
    value(random, schema, schema.root_id()).put(&mut out);
    out
}

/// A datum of text alone.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, text.as_bytes());
    out
}
