//! Avro types as constants: what the derive says about a Rust type, checked at compile time.

use crate::Primitive;
use crate::schema::digits;

/// An Avro type, known at compile time.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// A type without parts.
    Primitive(Primitive),
    /// A type whose bytes mean something more.
    Logical {
        /// What is on the wire.
        base: &'static Type,
        /// What it means.
        logical: Logical,
    },
    /// Null, or this type.
    Nullable(&'static Type),
    /// This type, or null: the same with the branches in the other order.
    NullLast(&'static Type),
    /// One of several types.
    Union(&'static [&'static Type]),
    /// Items of one type.
    Array(&'static Type),
    /// Text keys, values of one type.
    Map(&'static Type),
    /// A type with a name.
    Named {
        /// Full name.
        name: &'static str,
        /// Other full names it answers to.
        aliases: &'static [&'static str],
        /// What it means, for people.
        doc: Option<&'static str>,
        /// What it is.
        kind: Named,
    },
    /// A type that is defined further out, by its full name.
    Reference(&'static str),
}

/// A type with a name.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// Fields in wire order.
    Record(&'static [FieldDef]),
    /// Symbols in wire order, and what a reader takes for one it does not know.
    Enum(&'static [&'static str], Option<&'static str>),
    /// A number of bytes, and what they mean.
    Fixed(usize, Option<Logical>),
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub struct FieldDef {
    /// Its name.
    pub name: &'static str,
    /// Names it had before.
    pub aliases: &'static [&'static str],
    /// What it means, for people.
    pub doc: Option<&'static str>,
    /// What a reader takes when the writer has no such field.
    pub default: Option<Json>,
    /// Whether it is the record's event time.
    pub event_time: bool,
    /// What its value means, if its type alone does not say so.
    pub logical: Option<Logical>,
    /// Its type.
    pub ty: &'static Type,
}

/// A logical type.
#[derive(Clone, Copy, Debug)]
pub struct Logical {
    /// Its name, e.g. `timestamp-millis`.
    pub name: &'static str,
    /// Precision and scale of a `decimal`.
    pub decimal: Option<(u32, u32)>,
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number, as text.
    Number(&'static str),
    /// Text.
    Text(&'static str),
    /// Bytes, which JSON has as text of the code points 0 to 255.
    Bytes(&'static [u8]),
    /// A list.
    Array(&'static [Json]),
    /// Names and values.
    Object(&'static [(&'static str, Json)]),
}

impl Type {
    const fn is_null(&self) -> bool {
        matches!(self, Self::Primitive(Primitive::Null))
    }

    const fn is_union(&self) -> bool {
        matches!(self, Self::Nullable(_) | Self::NullLast(_) | Self::Union(_))
    }

    /// The type of a value that is there.
    const fn inner(&self) -> &Self {
        match self {
            Self::Nullable(inner) | Self::NullLast(inner) => inner,
            other => other,
        }
    }

    /// The type of text, for keys of maps.
    pub const fn is_string(&self) -> bool {
        matches!(self, Self::Primitive(Primitive::String))
    }
}

/// `Option` of `inner`.
#[track_caller]
pub const fn nullable(inner: &'static Type) -> Type {
    one_null(inner);
    Type::Nullable(inner)
}

/// `Option` of `inner` in a field with `#[avro(null_last)]`.
#[track_caller]
pub(super) const fn null_last(inner: &'static Type) -> Type {
    one_null(inner);
    Type::NullLast(inner)
}

#[track_caller]
const fn one_null(inner: &Type) {
    assert!(
        !inner.is_union() && !inner.is_null(),
        "an Option of an Option, of a union or of null is one null too many: give the union a \
         variant without a value"
    );
}

/// A Rust enum whose variants hold `branches`.
#[track_caller]
pub const fn union(branches: &'static [&'static Type]) -> Type {
    let mut i = 0;
    while i < branches.len() {
        assert!(
            !branches[i].is_union(),
            "a union may not hold a union or an Option: give it a variant without a value"
        );
        let mut j = 0;
        while j < i {
            assert!(
                !same_branch(branches[i], branches[j]),
                "two variants have the same Avro type: a union tells its branches by their types"
            );
            j += 1;
        }
        i += 1;
    }
    Type::Union(branches)
}

const fn same_branch(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Logical { base, .. }, other) | (other, Type::Logical { base, .. }) => {
            same_branch(base, other)
        }
        (Type::Primitive(a), Type::Primitive(b)) => *a as u8 == *b as u8,
        (Type::Array(_), Type::Array(_)) | (Type::Map(_), Type::Map(_)) => true,
        (
            Type::Named { name: a, .. } | Type::Reference(a),
            Type::Named { name: b, .. } | Type::Reference(b),
        ) => same_text(a, b),
        _ => false,
    }
}

pub(super) const fn same_text(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Whether two types are one, as far as the names they hold show.
pub(super) const fn same_type(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Logical { base, .. }, other) | (other, Type::Logical { base, .. }) => {
            same_type(base, other)
        }
        (Type::Primitive(a), Type::Primitive(b)) => *a as u8 == *b as u8,
        (Type::Array(a), Type::Array(b))
        | (Type::Map(a), Type::Map(b))
        | (Type::Nullable(a), Type::Nullable(b))
        | (Type::NullLast(a), Type::NullLast(b)) => same_type(a, b),
        (Type::Union(a), Type::Union(b)) => {
            if a.len() != b.len() {
                return false;
            }
            let mut i = 0;
            while i < a.len() {
                if !same_type(a[i], b[i]) {
                    return false;
                }
                i += 1;
            }
            true
        }
        (
            Type::Named { name: a, .. } | Type::Reference(a),
            Type::Named { name: b, .. } | Type::Reference(b),
        ) => same_text(a, b),
        _ => false,
    }
}

/// Whether two types of one name are the same type.
pub(super) const fn same_named(a: &Named, b: &Named) -> bool {
    match (a, b) {
        (Named::Record(a), Named::Record(b)) => {
            if a.len() != b.len() {
                return false;
            }
            let mut i = 0;
            while i < a.len() {
                if !same_text(a[i].name, b[i].name) || !same_type(a[i].ty, b[i].ty) {
                    return false;
                }
                i += 1;
            }
            true
        }
        (Named::Enum(a, _), Named::Enum(b, _)) => {
            if a.len() != b.len() {
                return false;
            }
            let mut i = 0;
            while i < a.len() {
                if !same_text(a[i], b[i]) {
                    return false;
                }
                i += 1;
            }
            true
        }
        (Named::Fixed(a, _), Named::Fixed(b, _)) => *a == *b,
        _ => false,
    }
}

/// Checks what only both the type and the attributes of a field show.
#[track_caller]
pub const fn check(field: &FieldDef) {
    if let Some(logical) = field.logical {
        assert!(
            !matches!(field.ty.inner(), Type::Named { .. }),
            "a named type carries its logical type itself: put the attribute there"
        );
        check_logical(field.ty, logical);
    }
    let Some(default) = &field.default else {
        return;
    };
    assert!(
        !matches!(field.ty, Type::Nullable(_)) || matches!(default, Json::Null),
        "an Option has the default null: take the Option away for another one"
    );
    assert!(
        fits(field.ty, default),
        "the default is no value of the field's type"
    );
}

/// Checks the logical type of a newtype.
#[track_caller]
pub const fn check_newtype(ty: &Type, logical: Logical) {
    assert!(
        matches!(ty, Type::Primitive(_)),
        "a newtype has a logical type where it holds a primitive; a fixed is `struct Name([u8; N])`"
    );
    check_logical(ty, logical);
}

/// Checks that a logical type goes with what is on the wire.
#[track_caller]
pub const fn check_logical(ty: &Type, logical: Logical) {
    let base = ty.inner();
    let name = logical.name;
    let goes = if same_text(name, "date") || same_text(name, "time-millis") {
        matches!(base, Type::Primitive(Primitive::Int))
    } else if same_text(name, "time-micros")
        || same_text(name, "timestamp-millis")
        || same_text(name, "timestamp-micros")
        || same_text(name, "timestamp-nanos")
        || same_text(name, "local-timestamp-millis")
        || same_text(name, "local-timestamp-micros")
        || same_text(name, "local-timestamp-nanos")
    {
        matches!(base, Type::Primitive(Primitive::Long))
    } else if same_text(name, "decimal") {
        let (precision, scale) = match logical.decimal {
            Some(decimal) => decimal,
            None => (0, 0),
        };
        assert!(
            precision > 0 && scale <= precision,
            "a decimal has a precision of at least 1, and a scale of at most that"
        );
        if let Type::Named {
            kind: Named::Fixed(size, _),
            ..
        } = base
        {
            assert!(
                precision as u64 <= digits(*size as u64),
                "the fixed is too short for the digits of the decimal"
            );
        }
        matches!(
            base,
            Type::Primitive(Primitive::Bytes)
                | Type::Named {
                    kind: Named::Fixed(..),
                    ..
                }
        )
    } else if same_text(name, "uuid") {
        matches!(
            base,
            Type::Primitive(Primitive::String)
                | Type::Named {
                    kind: Named::Fixed(16, _),
                    ..
                }
        )
    } else if same_text(name, "duration") {
        matches!(
            base,
            Type::Named {
                kind: Named::Fixed(12, _),
                ..
            }
        )
    } else {
        // Anybody may have logical types; readers that do not know one see what is on the wire.
        true
    };
    assert!(goes, "this logical type goes with another Avro type");
}

const fn fits(ty: &Type, json: &Json) -> bool {
    match (ty, json) {
        (Type::Logical { base, .. }, json) => fits(base, json),
        (Type::Primitive(primitive), json) => match (primitive, json) {
            (Primitive::Null, Json::Null)
            | (Primitive::Boolean, Json::Bool(_))
            | (Primitive::Long, Json::Int(_))
            | (Primitive::Float | Primitive::Double, Json::Int(_) | Json::Number(_))
            | (Primitive::Bytes, Json::Bytes(_))
            | (Primitive::String, Json::Text(_)) => true,
            (Primitive::Int, Json::Int(v)) => i32::MIN as i64 <= *v && *v <= i32::MAX as i64,
            _ => false,
        },
        (Type::Nullable(_) | Type::NullLast(_), Json::Null) => true,
        (Type::Nullable(inner) | Type::NullLast(inner), json) => fits(inner, json),
        (Type::Union(branches), json) => {
            let mut i = 0;
            while i < branches.len() {
                if fits(branches[i], json) {
                    return true;
                }
                i += 1;
            }
            false
        }
        (Type::Array(items), Json::Array(list)) => {
            let mut i = 0;
            while i < list.len() {
                if !fits(items, &list[i]) {
                    return false;
                }
                i += 1;
            }
            true
        }
        (Type::Map(values), Json::Object(pairs)) => {
            let mut i = 0;
            while i < pairs.len() {
                if !fits(values, &pairs[i].1) {
                    return false;
                }
                i += 1;
            }
            true
        }
        (Type::Named { kind, .. }, json) => match (kind, json) {
            (Named::Record(fields), Json::Object(pairs)) => {
                let mut i = 0;
                while i < fields.len() {
                    if !field_fits(&fields[i], pairs) {
                        return false;
                    }
                    i += 1;
                }
                true
            }
            (Named::Enum(symbols, _), Json::Text(text)) => {
                let mut i = 0;
                while i < symbols.len() {
                    if same_text(symbols[i], text) {
                        return true;
                    }
                    i += 1;
                }
                false
            }
            (Named::Fixed(size, _), Json::Bytes(bytes)) => *size == bytes.len(),
            _ => false,
        },
        // What it refers to is not in sight here.
        (Type::Reference(_), _) => true,
        _ => false,
    }
}

const fn field_fits(field: &FieldDef, pairs: &[(&str, Json)]) -> bool {
    let mut i = 0;
    while i < pairs.len() {
        if same_text(field.name, pairs[i].0) {
            return fits(field.ty, &pairs[i].1);
        }
        i += 1;
    }
    field.default.is_some() || matches!(field.ty, Type::Nullable(_))
}
