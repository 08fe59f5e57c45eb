//! What people see: for each stream a view with the names of today.
//!
//! Ids are text, times are ISO 8601, what a row's schema did not have yet has its default, and a
//! field that moved to another column is found in both.

use std::collections::BTreeMap;

use rusqlite::Transaction;
use telemetry_core::{Fingerprint, Plan, Scalar, Schema, Source, StreamName};

use super::catalogue::{Catalogue, StreamTable};
use super::{damaged, quoted};
use crate::StoreError;
use crate::evolve::{Column, ColumnType, Leaf, Part, Shape};
use crate::row::NO_TIME;

/// Makes the view of a stream again, and its lines in `units`.
pub(super) fn renew(
    tx: &Transaction<'_>,
    catalogue: &Catalogue,
    stream: &StreamName,
) -> Result<(), StoreError> {
    let (Some(table), Some(today)) = (catalogue.tables.get(stream), catalogue.today(stream)) else {
        return Ok(());
    };
    let columns = View::new(catalogue, stream, table, today)?.columns()?;
    let view = quoted(&table.view);
    let expressions = columns.iter();
    let expressions: Vec<String> = expressions
        .map(|column| format!("{} AS {}", column.expression, quoted(&column.name)))
        .collect();
    tx.execute_batch(&format!(
        "DROP VIEW IF EXISTS {view}; CREATE VIEW {view} AS SELECT {} FROM {}",
        expressions.join(", "),
        quoted(&table.rows)
    ))?;
    tx.execute("DELETE FROM units WHERE view_name = ?", [&table.view])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO units(view_name, column_name, unit, meaning) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for column in &columns {
        insert.execute((&table.view, &column.name, column.unit, &column.meaning))?;
    }
    Ok(())
}

/// A column of a view.
struct Shown {
    name: String,
    expression: String,
    unit: &'static str,
    meaning: String,
}

struct View<'c> {
    table: &'c StreamTable,
    today: &'c Schema,
    shape: Shape,
    /// The schemas that rows may have, each with its leaves and its way to today's.
    writers: Vec<(Fingerprint, Shape, Plan)>,
}

impl<'c> View<'c> {
    fn new(
        catalogue: &'c Catalogue,
        stream: &'c StreamName,
        table: &'c StreamTable,
        today: &'c Schema,
    ) -> Result<Self, StoreError> {
        let shape = |schema: &Schema| Shape::of(schema).map_err(|e| damaged(e.to_string()));
        let mut writers = Vec::new();
        for fingerprint in table.writers() {
            if let Some(entry) = catalogue.entry(stream, fingerprint)
                && let Ok(plan) = Plan::compile(&entry.schema, today)
            {
                writers.push((fingerprint, shape(&entry.schema)?, plan));
            }
        }
        Ok(Self {
            table,
            shape: shape(today)?,
            today,
            writers,
        })
    }

    fn columns(&self) -> Result<Vec<Shown>, StoreError> {
        let own = |name: &str, expression: String, unit, meaning: &str| Shown {
            name: name.to_owned(),
            expression,
            unit,
            meaning: meaning.to_owned(),
        };
        let mut out = vec![
            own(
                "device",
                uuid("device"),
                "id",
                "the device that made the record",
            ),
            own(
                "time",
                time(&format!("NULLIF(ts, {NO_TIME})"), "Z"),
                "UTC",
                "event time, by the device's clock",
            ),
            own(
                "epoch",
                "epoch".to_owned(),
                "",
                "opening of the device's spool",
            ),
            own(
                "seq",
                "seq".to_owned(),
                "",
                "number of the record in its epoch",
            ),
            own(
                "schema",
                "printf('%016x', schema_fp)".to_owned(),
                "id",
                "fingerprint of the record's schema: see xpt_schema",
            ),
            own(
                "clock",
                "clock".to_owned(),
                "",
                "how good the device's clock was",
            ),
        ];
        for leaf in self.shape.leaves() {
            let (expression, column) = self.expression(leaf)?;
            let name = self.name(leaf, column, &out);
            let (unit, meaning) = self.meaning(leaf);
            out.push(Shown {
                name,
                expression,
                unit,
                meaning,
            });
        }
        let about = self.table.columns.columns().iter();
        for column in about.filter(|c| c.part == Part::Enrichment) {
            out.push(own(
                &column.name,
                shown(column),
                "",
                "what is known besides",
            ));
        }
        Ok(out)
    }

    /// The name of today: that of the column, unless the field had another when that was made.
    fn name(&self, leaf: &Leaf, column: Option<&Column>, taken: &[Shown]) -> String {
        let plain = leaf.path.replace('.', "_");
        let free = |name: &str| {
            let other =
                |c: &Column| c.part == Part::Enrichment && c.name.eq_ignore_ascii_case(name);
            taken
                .iter()
                .all(|shown| !shown.name.eq_ignore_ascii_case(name))
                && !self.table.columns.columns().iter().any(other)
        };
        let typed = format!("{plain}__{}", leaf.kind.as_str());
        if leaf.kind != ColumnType::Avro && free(&plain) {
            return plain;
        }
        let column = column.map_or_else(|| typed.clone(), |c| format!("field_{}", c.id.0));
        if free(&typed) { typed } else { column }
    }

    /// What a row has for a leaf of today's schema, whichever schema wrote it.
    fn expression<'t>(&'t self, leaf: &Leaf) -> Result<(String, Option<&'t Column>), StoreError> {
        let mut cases: BTreeMap<String, Vec<Fingerprint>> = BTreeMap::new();
        let mut column = None;
        for (fingerprint, shape, plan) in &self.writers {
            let found = self.column(*fingerprint, shape, leaf);
            column = column.or(found);
            let expression = found.map_or_else(|| self.default(leaf, plan), shown);
            cases.entry(expression).or_default().push(*fingerprint);
        }
        let mut cases: Vec<_> = cases.into_iter().collect();
        // The expression of most schemas is the one of all others, e.g. of those to come.
        cases.sort_by_key(|(_, fingerprints)| fingerprints.len());
        let Some((most, _)) = cases.pop() else {
            return Ok(("NULL".to_owned(), column));
        };
        if cases.is_empty() {
            return Ok((most, column));
        }
        let mut sql = "CASE".to_owned();
        for (expression, fingerprints) in cases {
            let these: Vec<String> = fingerprints
                .iter()
                .map(|f| (f.0 as i64).to_string())
                .collect();
            sql += &format!(" WHEN schema_fp IN ({}) THEN {expression}", these.join(","));
        }
        Ok((format!("{sql} ELSE {most} END"), column))
    }

    /// The column in which a writer's schema keeps a leaf of today's.
    fn column(&self, fingerprint: Fingerprint, shape: &Shape, leaf: &Leaf) -> Option<&'c Column> {
        let layout = self.table.layout(Part::Record, fingerprint, shape)?;
        let of = |path: &str, kind: Option<ColumnType>| {
            let mut leaves = shape.leaves().iter();
            leaves.position(|l| l.path == path && kind.is_none_or(|kind| kind == l.kind))
        };
        let paths = || std::iter::once(&leaf.path).chain(&leaf.aliases);
        let at = paths().find_map(|path| of(path, Some(leaf.kind)));
        let at = at.or_else(|| paths().find_map(|path| of(path, None)))?;
        self.table.columns.column(layout.columns[at]?)
    }

    /// The default of a field of the record itself, where its writer had no such field.
    fn default(&self, leaf: &Leaf, plan: &Plan) -> String {
        let fields = self.today.record().map_or(&[][..], |record| &record.fields);
        let field = fields.iter().position(|f| f.name == leaf.path);
        let mut sources = plan.sources();
        let source = field.and_then(|field| sources.find(|(at, _)| *at == field));
        match source {
            Some((_, Source::Default(value))) => literal(value),
            _ => "NULL".to_owned(),
        }
    }

    /// The unit of a leaf, and what its field says about itself.
    fn meaning(&self, leaf: &Leaf) -> (&'static str, String) {
        let unit = match leaf.kind {
            ColumnType::Timestamp => "UTC",
            ColumnType::LocalTimestamp => "local time",
            ColumnType::Date => "date",
            ColumnType::Time => "time of day",
            ColumnType::Uuid => "id",
            ColumnType::Boolean => "0 or 1",
            ColumnType::Duration => "months, days, milliseconds",
            ColumnType::Avro => "Avro datum",
            _ => "",
        };
        let fields = self.today.record().map_or(&[][..], |record| &record.fields);
        let field = fields.iter().find(|f| f.name == leaf.path);
        let doc = field.and_then(|f| f.doc.clone()).unwrap_or_default();
        (unit, doc)
    }
}

/// A column as people read it.
fn shown(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.kind {
        ColumnType::Uuid => uuid(&name),
        ColumnType::Timestamp => time(&name, "Z"),
        ColumnType::LocalTimestamp => time(&name, ""),
        ColumnType::Date => format!("date({name} * 86400, 'unixepoch')"),
        ColumnType::Time => format!(
            "CASE WHEN {name} IS NOT NULL THEN printf('%02d:%02d:%02d.%06d', {name} / 3600000000, \
             {name} / 60000000 % 60, {name} / 1000000 % 60, {name} % 1000000) END"
        ),
        _ => name,
    }
}

/// 16 bytes as the text of a UUID.
fn uuid(name: &str) -> String {
    let part = |from: u32, len: u32| format!("substr(lower(hex({name})), {from}, {len})");
    let parts = [
        part(1, 8),
        part(9, 4),
        part(13, 4),
        part(17, 4),
        part(21, 12),
    ];
    format!(
        "CASE WHEN {name} IS NOT NULL THEN {} END",
        parts.join(" || '-' || ")
    )
}

/// Microseconds since 1970 as ISO 8601; before 1970 too.
fn time(name: &str, zone: &str) -> String {
    let rest = format!("(({name}) % 1000000 + 1000000) % 1000000");
    format!(
        "strftime('%Y-%m-%dT%H:%M:%S', (({name}) - {rest}) / 1000000, 'unixepoch') \
         || printf('.%06d{zone}', {rest})"
    )
}

/// A default as SQL writes it.
fn literal(value: Scalar<'_>) -> String {
    match value {
        Scalar::Null => "NULL".to_owned(),
        Scalar::Boolean(v) => i64::from(v).to_string(),
        Scalar::Int(v) => v.to_string(),
        Scalar::Long(v) => v.to_string(),
        Scalar::Float(v) => real(f64::from(v)),
        Scalar::Double(v) => real(v),
        Scalar::String(v) => format!("'{}'", v.replace('\'', "''")),
        Scalar::Bytes(v) => {
            let hex: String = v.iter().map(|b| format!("{b:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}

fn real(value: f64) -> String {
    match value {
        v if v.is_nan() => "NULL".to_owned(),
        v if v.is_infinite() => if v > 0.0 { "9e999" } else { "-9e999" }.to_owned(),
        v => format!("{v:?}"),
    }
}
