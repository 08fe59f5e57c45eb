//! `#[derive(AvroRecord)]`.
