use telemetry_avro::AvroType;

#[derive(AvroType)]
enum U {
    A(i32),
    B(i32),
}

fn main() {}
