use telemetry_avro::AvroRecord;

#[derive(AvroRecord)]
struct R {
    #[avro(default = 7)]
    n: Option<i32>,
}

fn main() {}
