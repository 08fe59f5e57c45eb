//! Schema texts.

use telemetry_core::{Compatibility, Plan, Schema, SchemaLimits};

use crate::bounded;

/// A text is refused, or has a form that stays the same, and reads its own records.
pub fn schema(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    let parsed = bounded("schema", text.len(), 16, 0, || Schema::parse(text));
    let Ok(schema) = parsed else { return };
    if names_stand_alone(&schema.canonical()) {
        // Full names make the form longer than the text.
        let limits = SchemaLimits {
            json_bytes_max: usize::MAX,
            ..SchemaLimits::default()
        };
        let again = Schema::parse_with(&schema.canonical(), limits).unwrap();
        assert_eq!(again.canonical(), schema.canonical());
        assert_eq!(again.fingerprint(), schema.fingerprint());
    }
    assert_eq!(
        Schema::parse(schema.json()).unwrap().meaning(),
        schema.meaning()
    );
    if let Ok(plan) = Plan::compile(&schema, &schema) {
        assert_eq!(plan.problems(), [], "{text}");
        let conflict = Compatibility::FullTransitive.check(&[&schema], &schema);
        assert!(matches!(conflict, Ok(None)));
    }
}

/// What was written is refused, or is JSON afterwards that says the same; what the rules allow means the
/// same in both ways.
pub fn written(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = bounded("written", text.len(), 20, 0, || {
        Schema::parse_written(&text)
    });
    let Ok(schema) = parsed else {
        assert!(Schema::parse(&text).is_err(), "{text}");
        return;
    };
    let again = Schema::parse_written(schema.json()).unwrap();
    assert_eq!(again.meaning(), schema.meaning());
    assert_eq!(again.json(), schema.json());
    if let Ok(strict) = Schema::parse(&text) {
        assert_eq!(strict.meaning(), schema.meaning());
    }
    if let Ok(plan) = Plan::compile(&schema, &schema) {
        assert_eq!(plan.problems(), [], "{text}");
    }
}

/// Whether a canonical form names the same types when it is parsed again: the form has no
/// namespaces, so a name without one means another type where it stands inside one that has.
fn names_stand_alone(canonical: &str) -> bool {
    let mut names = canonical.split(r#"{"name":""#).skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once('"')?;
        let kinds = ["record", "error", "enum", "fixed"];
        let kind = rest.strip_prefix(r#","type":""#)?;
        kinds.iter().any(|k| kind.starts_with(k)).then_some(name)
    });
    let first = names.next().is_some_and(|name| name.contains('.'));
    names.all(|name| name.contains('.') == first)
}
