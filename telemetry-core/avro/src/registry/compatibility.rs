//! Which schemas may follow which.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::{Incompatibility, Plan, PlanError, PlanLimits, Schema};

/// What a new schema of a subject must be able to do with those before it.
///
/// The names are those of schema registries: `BACKWARD`, `FULL_TRANSITIVE` and so on.
///
/// ```
/// use telemetry_avro::{Compatibility, Schema};
///
/// let old = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
///     {"name":"bpm","type":"int"}]}"#)?;
/// let new = Schema::parse(r#"{"type":"record","name":"Beat","fields":[
///     {"name":"bpm","type":"long"}]}"#)?;
/// assert!(Compatibility::Backward.check(&[&old], &new)?.is_none());
/// let conflict = Compatibility::Full.check(&[&old], &new)?.unwrap();
/// assert_eq!(conflict.problems[0].path, "Beat.bpm");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// Anything.
    None,
    /// Read what the last one wrote.
    Backward,
    /// Read what any of them wrote: tables and archives keep old records, so this is the default.
    #[default]
    BackwardTransitive,
    /// Write what readers of the last one read.
    Forward,
    /// Write what readers of any of them read.
    ForwardTransitive,
    /// Both, with the last one.
    Full,
    /// Both, with all of them.
    FullTransitive,
}

/// Which of two schemas reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The new schema reads what the old one wrote.
    Backward,
    /// The old schema reads what the new one wrote.
    Forward,
}

/// Why a schema may not follow another.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// Which of the earlier ones, counted from 0.
    pub earlier: usize,
    /// Who could not read whom.
    pub direction: Direction,
    /// What stands against it, at least one.
    pub problems: Vec<Incompatibility>,
}

impl Compatibility {
    /// Every mode, with its name.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::None, "NONE"),
        (Self::Backward, "BACKWARD"),
        (Self::BackwardTransitive, "BACKWARD_TRANSITIVE"),
        (Self::Forward, "FORWARD"),
        (Self::ForwardTransitive, "FORWARD_TRANSITIVE"),
        (Self::Full, "FULL"),
        (Self::FullTransitive, "FULL_TRANSITIVE"),
    ];

    /// Its name, as registries write it.
    pub fn as_str(self) -> &'static str {
        let named = Self::ALL.iter().find(|(mode, _)| *mode == self);
        named.map_or("", |(_, name)| name)
    }

    /// Whether it looks at every earlier schema, not at the last one alone.
    pub const fn is_transitive(self) -> bool {
        matches!(
            self,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive
        )
    }

    const fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }

    /// The first conflict of `offered` with the `earlier` schemas, oldest first; `None` if it may
    /// follow them.
    pub fn check(
        self,
        earlier: &[&Schema],
        offered: &Schema,
    ) -> Result<Option<Conflict>, PlanError> {
        self.check_with(earlier, offered, PlanLimits::default())
    }

    /// The same, within `limits` on each pair.
    pub fn check_with(
        self,
        earlier: &[&Schema],
        offered: &Schema,
        limits: PlanLimits,
    ) -> Result<Option<Conflict>, PlanError> {
        let first = if self.is_transitive() {
            0
        } else {
            earlier.len().saturating_sub(1)
        };
        for (i, old) in earlier.iter().enumerate().skip(first) {
            for &direction in self.directions() {
                let plan = match direction {
                    Direction::Backward => Plan::compile_with(old, offered, limits),
                    Direction::Forward => Plan::compile_with(offered, old, limits),
                }?;
                if !plan.problems().is_empty() {
                    return Ok(Some(Conflict {
                        earlier: i,
                        direction,
                        problems: plan.problems().to_vec(),
                    }));
                }
            }
        }
        Ok(None)
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Compatibility {
    type Err = CompatibilityError;

    fn from_str(name: &str) -> Result<Self, CompatibilityError> {
        let named = Self::ALL.iter().find(|(_, n)| *n == name);
        named
            .map(|(mode, _)| *mode)
            .ok_or_else(|| CompatibilityError {
                name: name.chars().take(64).collect(),
            })
    }
}

/// A text that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no compatibility: NONE, or BACKWARD, FORWARD or FULL, each also _TRANSITIVE")]
pub struct CompatibilityError {
    /// How it begins.
    pub name: String,
}

crate::error_codes!(CompatibilityError => 1120);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    fn schema(fields: &str) -> Schema {
        Schema::parse(&format!(
            r#"{{"type":"record","name":"R","fields":[{fields}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn each_mode_sees_its_conflicts() {
        use Compatibility as C;
        let a = r#"{"name":"a","type":"int"}"#;
        let a_default = r#"{"name":"a","type":"int","default":0}"#;
        let b = r#"{"name":"b","type":"int"}"#;
        let both = |x: &str, y: &str| schema(&format!("{x},{y}"));
        // What is known, what is offered, and the modes that let it pass.
        let cases = [
            (
                &[schema(a)][..],
                both(a, b),
                &[C::Forward, C::ForwardTransitive][..],
            ),
            (
                &[both(a, b)],
                schema(a),
                &[C::Backward, C::BackwardTransitive],
            ),
            (
                &[both(a_default, b)],
                schema(b),
                &[
                    C::Backward,
                    C::BackwardTransitive,
                    C::Forward,
                    C::ForwardTransitive,
                    C::Full,
                    C::FullTransitive,
                ],
            ),
            // The first one needs `a`, the last one does not.
            (
                &[both(a, b), both(a_default, b)],
                schema(b),
                &[C::Backward, C::BackwardTransitive, C::Forward, C::Full],
            ),
            // The first one has no `a`, the last one has.
            (
                &[schema(b), both(a_default, b)],
                both(a, b),
                &[C::Backward, C::Forward, C::ForwardTransitive, C::Full],
            ),
        ];
        for (i, (known, offered, passing)) in cases.iter().enumerate() {
            let known: Vec<&Schema> = known.iter().collect();
            for (mode, name) in Compatibility::ALL {
                let passes = mode.check(&known, offered).unwrap().is_none();
                let expected = *mode == C::None || passing.contains(mode);
                assert_eq!(passes, expected, "case {i}, {name}");
            }
        }
    }

    #[test]
    fn a_conflict_names_both_sides() {
        let (int, long) = (
            schema(r#"{"name":"a","type":"int"}"#),
            schema(r#"{"name":"a","type":"long"}"#),
        );
        let conflict = Compatibility::Full.check(&[&int], &long).unwrap().unwrap();
        assert_eq!(
            (conflict.earlier, conflict.direction),
            (0, Direction::Forward)
        );
        assert_eq!(conflict.problems[0].path, "R.a");
    }

    #[test]
    fn names_round_trip() {
        for (mode, name) in Compatibility::ALL {
            assert_eq!(mode.to_string(), *name);
            assert_eq!(name.parse(), Ok(*mode));
        }
        assert!("backward".parse::<Compatibility>().is_err());
    }
}
