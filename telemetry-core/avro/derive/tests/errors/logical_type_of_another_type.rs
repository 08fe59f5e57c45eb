use telemetry_avro::AvroRecord;

#[derive(AvroRecord)]
struct R {
    #[avro(logical = "timestamp-millis")]
    at: i32,
}

fn main() {}
