use telemetry_avro::{AvroRecord, AvroType};

#[derive(AvroRecord)]
struct R {
    #[avro(null_last)]
    n: i32,
}

#[derive(AvroRecord)]
struct D {
    #[avro(null_last, default = "a")]
    n: Option<i32>,
}

#[derive(AvroType)]
enum U {
    #[avro(null_last)]
    A(i32),
}

fn main() {}
