use telemetry_avro::AvroRecord;

#[derive(AvroRecord)]
struct R {
    #[avro(default = "seven")]
    n: i32,
}

fn main() {}
