//! Schema texts at compile time: everything, and the Parsing Canonical Form.

use core::marker::PhantomData;

use super::AvroType;
use super::def::{FieldDef, Json, Logical, Named, Type, same_named, same_text};
use crate::Primitive;

/// Named types that one schema may define: more than its text has room for.
const NAMED_MAX: usize = 1_024;

/// Parts that wait to be written, the innermost first: some four for each level of nesting.
const WAITING_MAX: usize = 512;

/// Bytes of a text.
#[cfg(feature = "std")]
pub(crate) const SCHEMA_BYTES_MAX: usize = 65_536;

/// The least size of [`sized`].
const SIZE_MIN: usize = 128;

/// Which of the two texts.
#[derive(Clone, Copy)]
enum Form {
    Full,
    Canonical,
}

/// A constant of a generic type cannot be an array of a length that depends on the type, so one of a
/// few lengths is taken: the least that holds the text.
macro_rules! sized {
    ($type:ident, $len:ident, $text:ident) => {
        sized!(
            $type, $len, $text,
            128 192 256 384 512 768 1024 1536 2048 3072 4096 6144 8192 12288 16384 24576 32768
            49152 65536
        )
    };
    ($type:ident, $len:ident, $text:ident, $($size:literal)*) => {{
        let len = Text::<$type, 0>::$len;
        $(if len <= $size {
            let bytes: &'static [u8] = Text::<$type, $size>::$text;
            return match core::str::from_utf8(bytes.split_at(len).0) {
                Ok(text) => text,
                Err(_) => panic!("a schema is made of texts"),
            };
        })*
        panic!("the schema is larger than 64 KiB")
    }};
}

/// The schema of `T` as JSON, with doc, aliases, defaults and `xpt.*` properties.
pub(crate) const fn schema<T: AvroType>() -> &'static str {
    sized!(T, SCHEMA_LEN, SCHEMA)
}

/// The Parsing Canonical Form of the schema of `T`.
pub(crate) const fn canonical<T: AvroType>() -> &'static str {
    sized!(T, CANONICAL_LEN, CANONICAL)
}

/// The texts of `T` in N bytes, where that is the least size that holds them, else nothing.
struct Text<T, const N: usize>(PhantomData<T>);

impl<T: AvroType, const N: usize> Text<T, N> {
    const SCHEMA: &'static [u8; N] = &text(T::TYPE, Form::Full, Text::<T, 0>::SCHEMA_LEN);
    const CANONICAL: &'static [u8; N] =
        &text(T::TYPE, Form::Canonical, Text::<T, 0>::CANONICAL_LEN);
}

impl<T: AvroType> Text<T, 0> {
    const SCHEMA_LEN: usize = len(T::TYPE, Form::Full);
    const CANONICAL_LEN: usize = len(T::TYPE, Form::Canonical);
}

const fn len(ty: &'static Type, form: Form) -> usize {
    let mut writer = Writer::<0>::new(form);
    writer.whole(ty);
    writer.len
}

/// Nothing unless N is the size that [`sized`] takes for `len`.
const fn text<const N: usize>(ty: &'static Type, form: Form, len: usize) -> [u8; N] {
    if len > N || (N > SIZE_MIN && len <= N / 2) {
        return [0; N];
    }
    let mut writer = Writer::<N>::new(form);
    writer.whole(ty);
    writer.bytes
}

/// A part that waits to be written.
#[derive(Clone, Copy)]
enum Part {
    Raw(&'static str),
    /// A type whose value means something, inside a namespace.
    Type(&'static Type, Option<Logical>, &'static str),
    /// The branches of a union from one on.
    Branches(&'static [&'static Type], usize, &'static str),
    /// The fields of a record from one on.
    Fields(&'static [FieldDef], usize, &'static str),
    /// What stands behind a field's type.
    Rest(&'static FieldDef),
}

/// Writes as much as it has room for, and counts the rest.
///
/// A list of parts instead of recursion: the compiler follows no more than 128 calls into each other.
struct Writer<const N: usize> {
    form: Form,
    bytes: [u8; N],
    len: usize,
    defined: [(&'static str, Named); NAMED_MAX],
    count: usize,
    waiting: [Part; WAITING_MAX],
    waits: usize,
}

impl<const N: usize> Writer<N> {
    const fn new(form: Form) -> Self {
        Self {
            form,
            bytes: [0; N],
            len: 0,
            defined: [("", Named::Record(&[])); NAMED_MAX],
            count: 0,
            waiting: [Part::Raw(""); WAITING_MAX],
            waits: 0,
        }
    }

    const fn later(&mut self, part: Part) {
        assert!(
            self.waits < WAITING_MAX,
            "the types nest too deep: at most some 100 levels"
        );
        self.waiting[self.waits] = part;
        self.waits += 1;
    }

    /// Writes a type and everything in it.
    const fn whole(&mut self, ty: &'static Type) {
        self.later(Part::Type(ty, None, ""));
        while self.waits > 0 {
            self.waits -= 1;
            match self.waiting[self.waits] {
                Part::Raw(text) => self.raw(text),
                Part::Type(ty, logical, namespace) => self.ty(ty, logical, namespace),
                Part::Branches(branches, i, namespace) => self.branches(branches, i, namespace),
                Part::Fields(fields, i, namespace) => self.fields(fields, i, namespace),
                Part::Rest(field) => self.rest(field),
            }
        }
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.raw("\\u00");
        self.byte(HEX[byte as usize >> 4]);
        self.byte(HEX[byte as usize & 15]);
    }

    const fn quoted(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.byte(b'"');
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                byte @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(byte);
                }
                byte @ 0..0x20 => self.escape(byte),
                byte => self.byte(byte),
            }
            i += 1;
        }
        self.byte(b'"');
    }

    const fn number(&mut self, value: i64) {
        let mut digits = [0; 20];
        let mut left = value.unsigned_abs();
        let mut n = 0;
        while left > 0 || n == 0 {
            digits[n] = b'0' + (left % 10) as u8;
            left /= 10;
            n += 1;
        }
        if value < 0 {
            self.byte(b'-');
        }
        while n > 0 {
            n -= 1;
            self.byte(digits[n]);
        }
    }

    const fn full(&self) -> bool {
        matches!(self.form, Form::Full)
    }

    const fn key(&mut self, key: &str) {
        self.byte(b',');
        self.quoted(key);
        self.byte(b':');
    }

    /// Writes a type, whose value means `logical`, inside `namespace`; its parts come later.
    const fn ty(&mut self, ty: &'static Type, logical: Option<Logical>, namespace: &'static str) {
        match ty {
            Type::Primitive(primitive) => self.primitive(*primitive, logical),
            Type::Logical {
                base,
                logical: inner,
            } => {
                let logical = if logical.is_some() {
                    logical
                } else {
                    Some(*inner)
                };
                self.later(Part::Type(base, logical, namespace));
            }
            Type::Nullable(inner) => {
                self.raw("[\"null\",");
                self.later(Part::Raw("]"));
                self.later(Part::Type(inner, logical, namespace));
            }
            Type::NullLast(inner) => {
                self.byte(b'[');
                self.later(Part::Raw(",\"null\"]"));
                self.later(Part::Type(inner, logical, namespace));
            }
            Type::Union(branches) => {
                self.byte(b'[');
                self.later(Part::Branches(branches, 0, namespace));
            }
            Type::Array(items) => {
                self.raw("{\"type\":\"array\",\"items\":");
                self.later(Part::Raw("}"));
                self.later(Part::Type(items, None, namespace));
            }
            Type::Map(values) => {
                self.raw("{\"type\":\"map\",\"values\":");
                self.later(Part::Raw("}"));
                self.later(Part::Type(values, None, namespace));
            }
            Type::Named {
                name,
                aliases,
                doc,
                kind,
            } => {
                if self.define(name, kind) {
                    self.named(name, aliases, *doc, kind, namespace);
                } else {
                    self.reference(name, namespace);
                }
            }
            Type::Reference(name) => {
                let mut i = 0;
                while i < self.count && !same_text(self.defined[i].0, name) {
                    i += 1;
                }
                assert!(
                    i < self.count,
                    "a recursive field refers to a type that is not defined around it"
                );
                self.reference(name, namespace);
            }
        }
    }

    const fn branches(
        &mut self,
        branches: &'static [&'static Type],
        i: usize,
        namespace: &'static str,
    ) {
        if i == branches.len() {
            self.byte(b']');
            return;
        }
        if i > 0 {
            self.byte(b',');
        }
        self.later(Part::Branches(branches, i + 1, namespace));
        self.later(Part::Type(branches[i], None, namespace));
    }

    const fn primitive(&mut self, primitive: Primitive, logical: Option<Logical>) {
        match logical {
            Some(logical) if self.full() => {
                self.raw("{\"type\":");
                self.quoted(primitive.as_str());
                self.logical(logical);
                self.byte(b'}');
            }
            _ => self.quoted(primitive.as_str()),
        }
    }

    const fn logical(&mut self, logical: Logical) {
        self.key("logicalType");
        self.quoted(logical.name);
        if let Some((precision, scale)) = logical.decimal {
            self.key("precision");
            self.number(precision as i64);
            self.key("scale");
            self.number(scale as i64);
        }
    }

    /// Notes a definition; `false` if it is there already.
    const fn define(&mut self, name: &'static str, kind: &Named) -> bool {
        let mut i = 0;
        while i < self.count {
            if same_text(self.defined[i].0, name) {
                assert!(
                    same_named(&self.defined[i].1, kind),
                    "two different types have one Avro name: rename one of them"
                );
                return false;
            }
            i += 1;
        }
        assert!(i < NAMED_MAX, "a schema defines at most 1,024 named types");
        self.defined[i] = (name, *kind);
        self.count = i + 1;
        true
    }

    /// The name of a type that is defined; a leading dot takes it out of `namespace`.
    const fn reference(&mut self, name: &str, namespace: &str) {
        self.byte(b'"');
        if self.full() && !namespace.is_empty() && space(name).is_empty() {
            self.byte(b'.');
        }
        self.raw(name);
        self.byte(b'"');
    }

    const fn named(
        &mut self,
        name: &'static str,
        aliases: &[&str],
        doc: Option<&str>,
        kind: &'static Named,
        namespace: &str,
    ) {
        let type_name = match kind {
            Named::Record(_) => "record",
            Named::Enum(..) => "enum",
            Named::Fixed(..) => "fixed",
        };
        // The canonical form has the name first.
        if self.full() {
            self.raw("{\"type\":");
            self.quoted(type_name);
            self.key("name");
            self.quoted(name);
            if !namespace.is_empty() && space(name).is_empty() {
                self.raw(",\"namespace\":\"\"");
            }
            self.doc(doc);
            self.aliases(aliases);
        } else {
            self.raw("{\"name\":");
            self.quoted(name);
            self.key("type");
            self.quoted(type_name);
        }
        match kind {
            Named::Record(fields) => {
                self.raw(",\"fields\":[");
                self.later(Part::Fields(fields, 0, space(name)));
                return;
            }
            Named::Enum(symbols, default) => {
                self.key("symbols");
                self.strings(symbols);
                if let Some(default) = default
                    && self.full()
                {
                    self.key("default");
                    self.quoted(default);
                }
            }
            Named::Fixed(size, logical) => {
                self.key("size");
                self.number(*size as i64);
                if let Some(logical) = logical
                    && self.full()
                {
                    self.logical(*logical);
                }
            }
        }
        self.byte(b'}');
    }

    const fn fields(&mut self, fields: &'static [FieldDef], i: usize, namespace: &'static str) {
        if i == fields.len() {
            self.raw("]}");
            return;
        }
        if i > 0 {
            self.byte(b',');
        }
        let field = &fields[i];
        self.raw("{\"name\":");
        self.quoted(field.name);
        self.key("type");
        self.later(Part::Fields(fields, i + 1, namespace));
        self.later(Part::Rest(field));
        self.later(Part::Type(field.ty, field.logical, namespace));
    }

    const fn rest(&mut self, field: &'static FieldDef) {
        if self.full() {
            self.doc(field.doc);
            self.aliases(field.aliases);
            match &field.default {
                Some(default) => {
                    self.key("default");
                    self.json(default);
                }
                None if matches!(field.ty, Type::Nullable(_)) => self.raw(",\"default\":null"),
                None => {}
            }
            if field.event_time {
                self.raw(",\"xpt.eventTime\":true");
            }
        }
        self.byte(b'}');
    }

    const fn doc(&mut self, doc: Option<&str>) {
        if let Some(doc) = doc {
            self.key("doc");
            self.quoted(doc);
        }
    }

    const fn aliases(&mut self, aliases: &[&str]) {
        if !aliases.is_empty() {
            self.key("aliases");
            self.strings(aliases);
        }
    }

    const fn strings(&mut self, list: &[&str]) {
        self.byte(b'[');
        let mut i = 0;
        while i < list.len() {
            if i > 0 {
                self.byte(b',');
            }
            self.quoted(list[i]);
            i += 1;
        }
        self.byte(b']');
    }

    const fn json(&mut self, json: &Json) {
        match json {
            Json::Null => self.raw("null"),
            Json::Bool(true) => self.raw("true"),
            Json::Bool(false) => self.raw("false"),
            Json::Int(v) => self.number(*v),
            Json::Number(text) => self.raw(text),
            Json::Text(text) => self.quoted(text),
            Json::Bytes(bytes) => {
                self.byte(b'"');
                let mut i = 0;
                while i < bytes.len() {
                    self.escape(bytes[i]);
                    i += 1;
                }
                self.byte(b'"');
            }
            Json::Array(list) => {
                self.byte(b'[');
                let mut i = 0;
                while i < list.len() {
                    if i > 0 {
                        self.byte(b',');
                    }
                    self.json(&list[i]);
                    i += 1;
                }
                self.byte(b']');
            }
            Json::Object(pairs) => {
                self.byte(b'{');
                let mut i = 0;
                while i < pairs.len() {
                    if i > 0 {
                        self.byte(b',');
                    }
                    self.quoted(pairs[i].0);
                    self.byte(b':');
                    self.json(&pairs[i].1);
                    i += 1;
                }
                self.byte(b'}');
            }
        }
    }
}

/// The namespace of a full name.
const fn space(name: &str) -> &str {
    let bytes = name.as_bytes();
    let mut i = bytes.len();
    while i > 0 {
        i -= 1;
        if bytes[i] == b'.' {
            return name.split_at(i).0;
        }
    }
    ""
}
