//! A record that nobody can read, as a program with a fault would send it.

use telemetry_core::{Schema, single_object};

use super::{Agent, AgentError};

/// What the faulty program says it writes.
const SCHEMA: &str = r#"{"type":"record","name":"Diagnostics","namespace":"demo.vendor",
    "fields":[{"name":"note","type":"string"}]}"#;

/// What it writes: a text of 1,000,000 bytes, of which three are there.
const DATUM: &[u8] = &[0x80, 0x89, 0x7a, b'o', b'h', b'!'];

impl Agent {
    /// Takes such a record like any other: the agent passes on what it does not understand.
    pub fn take_poison(&mut self) -> Result<(), AgentError> {
        let schema = Schema::parse(SCHEMA).map_err(|e| AgentError::Schema(e.to_string()))?;
        let stream = self.producer.announce(&schema)?;
        let mut record = single_object::header(schema.fingerprint()).to_vec();
        record.extend_from_slice(DATUM);
        self.producer.pass_on(stream, &record, None)?;
        Ok(())
    }
}
