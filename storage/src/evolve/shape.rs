//! The leaves of a schema: what of a record becomes a cell.

use telemetry_core::{Field, Kind, NodeId, Plan, PlanError, Primitive, Schema};

use super::ColumnType;

/// Records in records whose fields become columns; what is deeper is kept as Avro.
const DEPTH_MAX: usize = 4;

/// Branches besides null that a union may have before it is kept as Avro.
const BRANCHES_MAX: usize = 3;

/// Leaves from which on records are kept as Avro: a schema of a few kilobytes can name millions.
const LEAVES_MAX: usize = 4_096;

/// Paths by aliases that a leaf has at most.
const ALIASES_MAX: usize = 16;

/// A record as a row of cells: the way from its datum to the cells, and back.
///
/// Each leaf is one cell. Records in records are laid out beside their parent, a union has a cell for
/// each branch, and whatever has no fixed number of parts is one cell that holds its datum.
#[derive(Debug)]
pub struct Shape {
    pub(super) root: Vec<Segment>,
    leaves: Vec<Leaf>,
    event_time: Option<(usize, Unit)>,
}

/// A part of a datum, in wire order.
#[derive(Debug)]
pub(super) enum Segment {
    /// Takes no bytes.
    Null,
    /// One cell.
    Leaf(usize),
    /// Fields, in order.
    Record(Vec<Self>),
    /// A union.
    Union(Vec<Branch>),
}

/// A branch of a union. At most one branch has a cell that is set.
#[derive(Debug)]
pub(super) enum Branch {
    /// No cell of the union is set.
    Null,
    /// One cell, which is set.
    Leaf(usize),
    /// A record, and the cell that is true where it is there.
    Record(usize, Vec<Segment>),
}

/// A value that becomes one cell.
#[derive(Debug)]
pub struct Leaf {
    /// Names of the fields that lead here, joined by dots, as this schema has them.
    pub path: String,
    /// Paths that lead here by aliases.
    pub aliases: Vec<String>,
    /// What its column holds.
    pub kind: ColumnType,
    /// Its name in `extra`.
    pub(super) key: String,
    pub(super) wire: Wire,
}

/// What a leaf is on the wire, and how its cell follows.
#[derive(Debug)]
pub(super) enum Wire {
    Boolean,
    Int,
    Long,
    /// Milliseconds, an `int` or a `long`; the cell has microseconds.
    Millis {
        int: bool,
    },
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    UuidText,
    UuidBytes,
    /// A big-endian number of `size` bytes, or of as many as stand before it.
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    /// Anything, by its own schema.
    Avro(Box<Plan>),
    /// No bytes: a record of a union is there.
    Presence,
}

/// What an event time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Micros,
    Nanos,
    Seconds,
    Days,
    /// RFC 3339.
    Text,
}

impl Shape {
    /// The shape of a schema, whose root is a record.
    pub fn of(schema: &Schema) -> Result<Self, PlanError> {
        let record = schema.record().ok_or_else(|| PlanError::NotFlat {
            path: "$".to_owned(),
        })?;
        let mut walk = Walk {
            schema,
            leaves: Vec::new(),
            open: vec![schema.root_id()],
        };
        let mut event_time = None;
        let mut root = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let first = walk.leaves.len();
            root.push(walk.field(&record.fields, field, &[])?);
            if field.event_time && walk.leaves.len() == first + 1 {
                let unit = walk.leaves[first].unit(schema.logical(field));
                event_time = unit.map(|unit| (first, unit));
            }
        }
        Ok(Self {
            root,
            leaves: walk.leaves,
            event_time,
        })
    }

    /// What becomes a cell, in the order of the cells.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Which cell says when the record was made, and what it counts.
    pub(super) const fn event_time(&self) -> Option<(usize, Unit)> {
        self.event_time
    }
}

impl Leaf {
    fn unit(&self, logical: Option<&str>) -> Option<Unit> {
        match (self.kind, &self.wire) {
            (ColumnType::Timestamp | ColumnType::LocalTimestamp, _) => Some(Unit::Micros),
            (ColumnType::Date, _) => Some(Unit::Days),
            (ColumnType::Text, Wire::String) => Some(Unit::Text),
            // 32 bits of anything smaller would end after hours.
            (ColumnType::Integer, Wire::Int) => Some(Unit::Seconds),
            (ColumnType::Integer, Wire::Long) => match logical {
                Some("timestamp-nanos" | "local-timestamp-nanos") => Some(Unit::Nanos),
                _ => Some(Unit::Micros),
            },
            _ => None,
        }
    }
}

impl Leaf {
    /// Its name in `extra` and in catalogues: its path and what its column holds.
    pub fn key(&self) -> &str {
        &self.key
    }
}

struct Walk<'s> {
    schema: &'s Schema,
    leaves: Vec<Leaf>,
    /// The records around, outermost first.
    open: Vec<NodeId>,
}

impl Walk<'_> {
    fn field(
        &mut self,
        siblings: &[Field],
        field: &Field,
        parents: &[String],
    ) -> Result<Segment, PlanError> {
        // A name that is a sibling's own is not this field's.
        let own = |name: &str| siblings.iter().any(|f| f.name == name);
        let aliases = field.aliases.iter().filter(|alias| !own(alias));
        let names = std::iter::once(&field.name).chain(aliases);
        let names: Vec<String> = names.map(|name| escaped(name)).collect();
        let paths: Vec<String> = match parents {
            [] => names,
            // The first is the field's own path.
            _ => parents
                .iter()
                .flat_map(|parent| names.iter().map(move |name| format!("{parent}.{name}")))
                .take(1 + ALIASES_MAX)
                .collect(),
        };
        self.node(field.node, &paths)
    }

    fn node(&mut self, id: NodeId, paths: &[String]) -> Result<Segment, PlanError> {
        match &self.schema.node(id).kind {
            Kind::Primitive(Primitive::Null) => Ok(Segment::Null),
            Kind::Record(_) if self.opens(id) => Ok(Segment::Record(self.record(id, paths)?)),
            Kind::Union(branches) => self.union(id, branches, paths),
            _ => match self.scalar(id, paths) {
                Some(leaf) => Ok(Segment::Leaf(leaf)),
                None => self.avro(id, paths),
            },
        }
    }

    /// Whether a record's fields become columns.
    fn opens(&self, id: NodeId) -> bool {
        self.open.len() < DEPTH_MAX && !self.open.contains(&id) && self.leaves.len() < LEAVES_MAX
    }

    fn record(&mut self, id: NodeId, paths: &[String]) -> Result<Vec<Segment>, PlanError> {
        let schema = self.schema;
        let Kind::Record(record) = &schema.node(id).kind else {
            return Ok(Vec::new());
        };
        self.open.push(id);
        let fields = record.fields.iter();
        let fields = fields
            .map(|field| self.field(&record.fields, field, paths))
            .collect();
        self.open.pop();
        fields
    }

    fn union(
        &mut self,
        id: NodeId,
        branches: &[NodeId],
        paths: &[String],
    ) -> Result<Segment, PlanError> {
        let schema = self.schema;
        let is_null = |id: NodeId| matches!(schema.node(id).kind, Kind::Primitive(Primitive::Null));
        let set: Vec<NodeId> = branches.iter().copied().filter(|b| !is_null(*b)).collect();
        if let [only] = set[..]
            && matches!(schema.node(only).kind, Kind::Record(_))
            && self.opens(only)
        {
            let presence = self.leaf(paths, ColumnType::Boolean, Wire::Presence);
            let mut fields = Some(self.record(only, paths)?);
            let branch = |id: &NodeId| match fields.take_if(|_| !is_null(*id)) {
                Some(fields) => Branch::Record(presence, fields),
                None => Branch::Null,
            };
            return Ok(Segment::Union(branches.iter().map(branch).collect()));
        }
        let kinds: Option<Vec<_>> = set.iter().map(|b| ColumnType::of(schema, *b)).collect();
        // Two branches of one type would share a cell, and nobody could tell which of them it holds.
        let told_apart = kinds.is_some_and(|kinds| {
            let mut sorted = kinds.clone();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.len() == kinds.len() && kinds.len() <= BRANCHES_MAX
        });
        if !told_apart {
            return self.avro(id, paths);
        }
        let branch = |id: &NodeId| self.scalar(*id, paths).map_or(Branch::Null, Branch::Leaf);
        Ok(Segment::Union(branches.iter().map(branch).collect()))
    }

    /// A leaf of a type without parts.
    fn scalar(&mut self, id: NodeId, paths: &[String]) -> Option<usize> {
        let kind = ColumnType::of(self.schema, id)?;
        let node = self.schema.node(id);
        let is_millis = node
            .logical
            .as_deref()
            .is_some_and(|l| l.ends_with("-millis"));
        let wire = match (&node.kind, kind) {
            (Kind::Fixed(fixed), ColumnType::Decimal) => Wire::Decimal {
                size: Some(fixed.size as usize),
                scale: node.decimal?.scale,
            },
            (_, ColumnType::Decimal) => Wire::Decimal {
                size: None,
                scale: node.decimal?.scale,
            },
            (Kind::Fixed(_), ColumnType::Uuid) => Wire::UuidBytes,
            (_, ColumnType::Uuid) => Wire::UuidText,
            (Kind::Fixed(fixed), _) => Wire::Fixed(fixed.size as usize),
            (Kind::Enum(of), _) => Wire::Enum(of.symbols.clone()),
            (
                Kind::Primitive(p),
                ColumnType::Time | ColumnType::Timestamp | ColumnType::LocalTimestamp,
            ) if is_millis => Wire::Millis {
                int: *p == Primitive::Int,
            },
            (Kind::Primitive(p), _) => match p {
                Primitive::Null => return None,
                Primitive::Boolean => Wire::Boolean,
                Primitive::Int => Wire::Int,
                Primitive::Long => Wire::Long,
                Primitive::Float => Wire::Float,
                Primitive::Double => Wire::Double,
                Primitive::Bytes => Wire::Bytes,
                Primitive::String => Wire::String,
            },
            (Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_), _) => return None,
        };
        Some(self.leaf(paths, kind, wire))
    }

    /// A leaf that holds the datum of its own schema.
    fn avro(&mut self, id: NodeId, paths: &[String]) -> Result<Segment, PlanError> {
        let part = self.schema.part(id);
        let wire = Wire::Avro(Box::new(Plan::compile(&part, &part)?));
        Ok(Segment::Leaf(self.leaf(paths, ColumnType::Avro, wire)))
    }

    fn leaf(&mut self, paths: &[String], kind: ColumnType, wire: Wire) -> usize {
        let (path, aliases) = match paths {
            [own, aliases @ ..] => (own.clone(), aliases.to_vec()),
            [] => (String::new(), Vec::new()),
        };
        self.leaves.push(Leaf {
            key: format!("{path}:{}", kind.as_str()),
            path,
            aliases,
            kind,
            wire,
        });
        self.leaves.len() - 1
    }
}

/// A name in a path: dots stand between names only.
fn escaped(name: &str) -> String {
    name.replace('\\', r"\\").replace('.', r"\.")
}
