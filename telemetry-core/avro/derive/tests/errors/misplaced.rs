use telemetry_avro::{AvroRecord, AvroType};

#[derive(AvroRecord)]
enum E {
    A,
}

#[derive(AvroRecord)]
struct Tuple(i32);

#[derive(AvroType)]
struct Fields {
    n: i32,
}

#[derive(AvroType)]
enum Two {
    A(i32, i32),
}

#[derive(AvroRecord)]
struct Twice {
    a: i32,
    #[avro(rename = "a")]
    b: i32,
}

#[derive(AvroRecord)]
struct Unknown {
    #[avro(skip)]
    a: i32,
}

#[derive(AvroRecord)]
#[avro(name = "not a name")]
struct Name {
    a: i32,
}

#[derive(AvroRecord)]
struct NoValue {
    #[avro(default)]
    a: i32,
}

#[derive(AvroType)]
enum TwoDefaults {
    #[avro(default)]
    A,
    #[avro(default)]
    B,
}

fn main() {}
