//! What a command answers: a table for people, the same as JSON for programs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use terminal::{columns, escaped};

/// Bytes of a file given on the command line.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a command cannot do, and what to do next.
pub(crate) type Failure = String;

/// What was found, and what is wrong with it.
pub(crate) struct Answer {
    /// What was found.
    pub found: Found,
    /// What is wrong with it, if anything.
    pub fault: Option<String>,
}

/// What is printed.
pub(crate) enum Found {
    /// A table for people, objects for programs.
    Table(Table),
    /// One JSON value a line for people, an array for programs.
    Lines(Vec<Value>),
    /// A text for people and for compilers, a JSON string for programs.
    Text(String),
}

impl Answer {
    /// As people read it: the fault is said apart.
    pub(crate) fn text(&self) -> String {
        match &self.found {
            Found::Table(table) => table.text(),
            Found::Lines(lines) => {
                let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
                lines.join("\n")
            }
            Found::Text(text) => text.trim_end().to_owned(),
        }
    }

    /// As programs read it, whatever the command is: `{"found": …, "fault": null or a sentence}`.
    pub(crate) fn json(&self) -> String {
        let found = match &self.found {
            Found::Table(table) => table.json(),
            Found::Lines(lines) => Value::Array(lines.clone()),
            Found::Text(text) => Value::from(text.as_str()),
        };
        format!("{:#}", json!({ "found": found, "fault": self.fault }))
    }
}

/// Rows under names.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: impl IntoIterator<Item = Value>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Whether it has no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// An answer without a fault.
    pub(crate) fn fine(self) -> Answer {
        self.with(None)
    }

    /// An answer.
    pub(crate) fn with(self, fault: Option<String>) -> Answer {
        Answer {
            found: Found::Table(self),
            fault,
        }
    }

    /// A JSON array with an object a row.
    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let pairs = self.head.iter().cloned().zip(row.iter().cloned());
            Value::Object(pairs.collect::<Map<_, _>>())
        });
        Value::Array(rows.collect())
    }

    /// Columns as wide as their widest cell.
    fn text(&self) -> String {
        if self.rows.is_empty() {
            return "nothing".to_owned();
        }
        let cells: Vec<Vec<String>> = std::iter::once(self.head.clone())
            .chain(self.rows.iter().map(|row| row.iter().map(plain).collect()))
            .collect();
        let width = |column: usize| {
            let cells = cells.iter().filter_map(|row| row.get(column));
            cells.map(|c| columns(c)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut out = String::new();
        for row in &cells {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a string cannot fail.
                let pad = width - columns(cell) + 2;
                let _ = write!(line, "{cell}{:pad$}", "");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// Foreign text stays in its cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => escaped(text).to_string(),
        other => other.to_string(),
    }
}

/// A text file given on the command line.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| format!("{}: it is no text", path.display()))
}

/// A file given on the command line.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    if read.map_err(failed)? as u64 > FILE_BYTES_MAX {
        let path = path.display();
        return Err(format!(
            "{path}: larger than {FILE_BYTES_MAX} bytes: cut it into parts"
        ));
    }
    Ok(bytes)
}
