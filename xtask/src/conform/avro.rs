//! Avro: what Java's reference implementation said, case by case.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value as Json;
use telemetry_core::arrow::{ArrowError, Columns, encode};
use telemetry_core::wire::Reader;
use telemetry_core::{Fingerprint, Plan, Schema, Value};

use super::Score;
use crate::Failure;

/// Most bytes of one file, unpacked: a whole set of cases has 20 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

pub(super) fn run(dir: &Path) -> Result<Vec<Score>, Failure> {
    let [forms, prints] = schemas(&text(&dir.join("share/data/schema-tests.txt"), false)?);
    let mut compat = Score::new("compatibility");
    for case in cases(&dir.join("compat.jsonl.gz"))? {
        verdict(&case, field(&case, "java"), &mut compat);
    }
    let mut value = Score::new("decode to value");
    let mut bytes = Score::new("transcode");
    let mut columns = Score::new("to Arrow and back");
    for case in cases(&dir.join("decode.jsonl.gz"))? {
        datum(&case, &mut value, &mut bytes, &mut columns);
    }
    let mut pairs = Score::new("pairs: compatibility");
    let mut pairs_value = Score::new("pairs: decode to value");
    let mut pairs_bytes = Score::new("pairs: transcode");
    let mut pairs_columns = Score::new("pairs: to Arrow and back");
    for case in cases(&dir.join("pairs.jsonl.gz"))? {
        verdict(&case, field(&case, "compat"), &mut pairs);
        datum(
            &case,
            &mut pairs_value,
            &mut pairs_bytes,
            &mut pairs_columns,
        );
    }
    Ok(vec![
        forms,
        prints,
        compat,
        value,
        bytes,
        columns,
        pairs,
        pairs_value,
        pairs_bytes,
        pairs_columns,
    ])
}

fn text(path: &Path, packed: bool) -> Result<String, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| {
            if packed {
                GzDecoder::new(file)
                    .take(FILE_BYTES_MAX)
                    .read_to_string(&mut text)
            } else {
                file.take(FILE_BYTES_MAX).read_to_string(&mut text)
            }
        })
        .map_err(|error| Failure::Io {
            what: path.display().to_string(),
            error,
        })?;
    Ok(text)
}

fn cases(path: &Path) -> Result<Vec<Json>, Failure> {
    text(path, true)?
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Failure::Said(format!("{}: {error}", path.display())))
        })
        .collect()
}

fn field<'a>(case: &'a Json, name: &str) -> &'a str {
    case.get(name).and_then(Json::as_str).unwrap_or("")
}

/// Canonical forms and fingerprints.
fn schemas(text: &str) -> [Score; 2] {
    let mut forms = Score::new("canonical form");
    let mut prints = Score::new("CRC-64-AVRO");
    let (mut input, mut canonical) = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(row) = line.strip_prefix("<<") else {
            continue;
        };
        let (tag, rest) = row.split_once(' ').unwrap_or((row, ""));
        let value = if rest.is_empty() {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != tag).collect();
            body.join("\n")
        } else {
            rest.to_owned()
        };
        match tag {
            "INPUT" => input = value,
            "canonical" => {
                canonical = value;
                let ours = Schema::parse(&input).map(|s| s.canonical().to_owned());
                forms.add(ours.as_ref() == Ok(&canonical), || input.clone());
            }
            "fingerprint" => {
                let ours = Fingerprint::of(&canonical).0 as i64;
                prints.add(value.trim().parse() == Ok(ours), || canonical.clone());
            }
            _ => {}
        }
    }
    [forms, prints]
}

fn plan(case: &Json) -> Result<(Plan, Schema, Schema), String> {
    let parse = |name| Schema::parse(field(case, name)).map_err(|e| format!("{name}: {e}"));
    let (writer, reader) = (parse("writer")?, parse("reader")?);
    let plan = Plan::compile(&writer, &reader).map_err(|e| e.to_string())?;
    Ok((plan, writer, reader))
}

/// Compares "no problems" with the verdict of the reference.
fn verdict(case: &Json, expected: &str, score: &mut Score) {
    let ours = plan(case).map(|(plan, ..)| plan.problems().to_vec());
    let agrees = match &ours {
        Ok(problems) => problems.is_empty() == (expected == "COMPATIBLE"),
        Err(_) => false,
    };
    score.add(agrees, || {
        format!("{case}\n  expected {expected}, got {ours:?}")
    });
}

/// Reads a datum by a plan and gives the reader's.
type Executor = fn(&Plan, &Schema, &mut Reader<'_>) -> Result<Vec<u8>, String>;

/// Compares a datum read with the reader's schema and written again.
fn datum(case: &Json, value: &mut Score, bytes: &mut Score, columns: &mut Score) {
    let input = hex(field(case, "bytes"));
    // Both readers of the reference count: a case is agreed if ours is what they agree on.
    let expected = match (field(case, "slow"), field(case, "fast")) {
        (slow, fast) if slow != fast => None,
        ("ERR", _) => Some(None),
        (text, _) => Some(hex(text)),
    };
    let compiled = plan(case);
    let through = |run: Executor| {
        let (plan, _, reader) = compiled.as_ref().map_err(Clone::clone)?;
        let bytes = input.as_ref().ok_or("the case has no bytes")?;
        let mut rest = Reader::new(bytes);
        let out = run(plan, reader, &mut rest)?;
        if !rest.is_empty() {
            return Err(format!("{} bytes are left", rest.rest().len()));
        }
        normal(reader, &out)
    };
    let by_value = through(|plan, _, input| {
        let value = plan.value(input).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        value.put(&mut out);
        Ok(out)
    });
    let by_bytes = through(|plan, _, input| {
        let mut out = Vec::new();
        plan.transcode(input, &mut out).map_err(|e| e.to_string())?;
        Ok(out)
    });
    let by_columns = through(|plan, reader, input| {
        let mut columns = Columns::new(plan, reader).map_err(|e| e.to_string())?;
        columns.push(input).map_err(|e| e.to_string())?;
        let batch = columns.finish().map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        encode(reader, &batch, |_, datum| out.extend_from_slice(datum))
            .map_err(|e| e.to_string())?;
        Ok(out)
    });
    let expected = expected.map(|bytes| {
        let (_, _, reader) = compiled.as_ref().ok()?;
        normal(reader, &bytes?).ok()
    });
    let mut found = vec![(value, by_value), (bytes, by_bytes)];
    if compiled.as_ref().is_ok_and(has_columns) {
        found.push((columns, by_columns));
    }
    for (score, ours) in found {
        let agrees = expected
            .as_ref()
            .is_some_and(|e| e.as_ref() == ours.as_ref().ok());
        if !agrees && expected == Some(None) && compiled.as_ref().is_ok_and(guarded) {
            score.cases += 1;
            score.defects += 1;
            continue;
        }
        score.add(agrees, || format!("{case}\n  got {ours:02x?}"));
    }
}

/// Whether Arrow has types for the reader's schema: records that do not hold themselves.
fn has_columns((_, _, reader): &(Plan, Schema, Schema)) -> bool {
    !matches!(
        telemetry_core::arrow::schema(reader),
        Err(ArrowError::NoRecord | ArrowError::NoType { .. })
    )
}

/// Java checks the bytes that a collection needs by the *reader's* least item size, and so refuses
/// collections whose items grow by a promotion. Whether a pair has such items.
fn guarded((plan, writer, reader): &(Plan, Schema, Schema)) -> bool {
    let collections = |schema: &Schema| {
        let text = schema.canonical();
        text.contains("\"array\"") || text.contains("\"map\"")
    };
    plan.problems().is_empty()
        && collections(writer)
        && collections(reader)
        && writer.canonical() != reader.canonical()
}

/// A datum with the pairs of its maps in order, since the reference writes them in another.
fn normal(schema: &Schema, datum: &[u8]) -> Result<Vec<u8>, String> {
    let plan = Plan::compile(schema, schema).map_err(|e| e.to_string())?;
    let mut input = Reader::new(datum);
    let mut value = plan.value(&mut input).map_err(|e| e.to_string())?;
    if !input.is_empty() {
        return Err("more than a datum".to_owned());
    }
    sort(&mut value);
    let mut out = Vec::new();
    value.put(&mut out);
    Ok(out)
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) | Value::Record(items) => items.iter_mut().for_each(sort),
        Value::Union(_, value) => sort(value),
        Value::Map(pairs) => {
            pairs.iter_mut().for_each(|(_, value)| sort(value));
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        _ => {}
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_reference() {
        let scores = run(&crate::root().join("testdata/avro")).unwrap();
        for score in scores {
            assert!(score.cases > 0, "{}: no cases", score.name);
            assert!(score.wrong.is_empty(), "{}: {:#?}", score.name, score.wrong);
        }
    }
}
