//! Logical types that Avro names: what they may stand on, and which mean the same.
//!
//! Source: Avro 1.12 specification, "Logical Types".

use super::{Decimal, Kind, Node, Primitive};

/// Whether a logical type may stand on a type. Unknown ones may stand anywhere.
pub(super) fn applies(logical: &str, kind: &Kind, decimal: Option<Decimal>) -> bool {
    let size = match kind {
        Kind::Fixed(fixed) => Some(fixed.size),
        _ => None,
    };
    let is = |primitive| matches!(kind, Kind::Primitive(p) if *p == primitive);
    match logical {
        "decimal" => decimal.is_some(),
        "uuid" => is(Primitive::String) || size == Some(16),
        "duration" => size == Some(12),
        "date" | "time-millis" => is(Primitive::Int),
        _ if is_instant(logical) || logical == "time-micros" => is(Primitive::Long),
        _ => true,
    }
}

/// Digits that a `fixed` of so many bytes holds whatever they are.
pub(crate) const fn digits(size: u64) -> u64 {
    // A bit is 0.30102999566 of a digit, and one is the sign.
    (size * 8).saturating_sub(1) * 30_102_999_566 / 100_000_000_000
}

fn is_instant(logical: &str) -> bool {
    matches!(
        logical,
        "timestamp-millis"
            | "timestamp-micros"
            | "timestamp-nanos"
            | "local-timestamp-millis"
            | "local-timestamp-micros"
            | "local-timestamp-nanos"
    )
}

/// How two types differ in what they mean, though one is read as the other.
pub(crate) enum Change {
    /// Decimals of another precision or scale, which do not resolve.
    Decimal,
    /// Another unit, or another kind of thing.
    Meaning,
}

/// How what `writer` means becomes something else in `reader`.
///
/// Text that becomes or was a `uuid` means the same; a number without a logical type may mean anything.
pub(crate) fn change(writer: &Node, reader: &Node) -> Option<Change> {
    match (writer.decimal, reader.decimal) {
        (Some(w), Some(r)) if w != r => return Some(Change::Decimal),
        (Some(_), Some(_)) => return None,
        _ => {}
    }
    let (from, to) = (known(writer), known(reader));
    (from.is_some() && to.is_some() && from != to).then_some(Change::Meaning)
}

/// The logical type of a node, if Avro names it.
fn known(node: &Node) -> Option<&str> {
    let logical = node.logical.as_deref()?;
    let is_known = matches!(
        logical,
        "decimal" | "uuid" | "duration" | "date" | "time-millis" | "time-micros"
    );
    (is_known || is_instant(logical)).then_some(logical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_holds_so_many_digits() {
        // `floor(log10(2^(8n - 1) - 1))`
        let known = [(1, 2), (2, 4), (4, 9), (5, 11), (8, 18), (12, 28), (16, 38)];
        for (size, most) in known {
            assert_eq!(digits(size), most, "{size} bytes");
        }
        assert_eq!(digits(0), 0);
    }
}
