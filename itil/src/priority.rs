//! Impact, urgency, the priority matrix and the targets that follow from a priority.

use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! scale {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, gravest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

scale! {
    /// How much of the business is affected.
    Impact {
        /// A service for everyone.
        High = "high",
        /// A service for some, or a degraded one.
        Medium = "medium",
        /// One user or device.
        Low = "low",
    }
}

scale! {
    /// How soon the effect becomes serious: ITIL's urgency, from which a [`Matrix`] makes a priority.
    IncidentUrgency {
        /// Now.
        High = "high",
        /// Within hours.
        Medium = "medium",
        /// It can wait.
        Low = "low",
    }
}

scale! {
    /// What is worked on first; smaller is graver.
    Priority {
        /// Critical.
        P1 = "P1",
        /// High.
        P2 = "P2",
        /// Moderate.
        P3 = "P3",
        /// Low.
        P4 = "P4",
        /// Planning.
        P5 = "P5",
    }
}

/// A priority for each impact (row) and urgency (column).
///
/// ITIL prescribes no matrix; it is the organisation's data. So it carries a version, and an
/// incident records which version made its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    version: String,
    cells: [[Priority; 3]; 3],
}

impl Matrix {
    /// A matrix from rows of impact (high, medium, low) and columns of urgency (the same).
    ///
    /// # Errors
    /// A graver impact or urgency must never give a lesser priority: a transposed or inverted
    /// table is refused with the cell.
    pub fn new(version: impl Into<String>, cells: [[Priority; 3]; 3]) -> Result<Self, MatrixError> {
        for impact in 0..3 {
            for urgency in 0..3 {
                let here = cells[impact][urgency];
                let above = impact > 0 && cells[impact - 1][urgency] > here;
                let before = urgency > 0 && cells[impact][urgency - 1] > here;
                if above || before {
                    return Err(MatrixError::NotMonotone {
                        impact: Impact::ALL[impact],
                        urgency: IncidentUrgency::ALL[urgency],
                    });
                }
            }
        }
        Ok(Self {
            version: version.into(),
            cells,
        })
    }

    /// The name of this table in incident records.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The priority of `impact` and `urgency`.
    pub const fn priority(&self, impact: Impact, urgency: IncidentUrgency) -> Priority {
        self.cells[impact as usize][urgency as usize]
    }
}

impl Default for Matrix {
    /// ServiceNow's base 3 × 3 matrix, version `servicenow-3x3`.
    fn default() -> Self {
        use Priority::{P1, P2, P3, P4, P5};
        Self {
            version: "servicenow-3x3".into(),
            cells: [[P1, P2, P3], [P2, P3, P4], [P3, P4, P5]],
        }
    }
}

/// How long an incident of one priority may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Time to own: until someone has it.
    #[serde(with = "crate::wire::duration")]
    pub own: Duration,
    /// Time to resolve: until service is back, without allowed pauses.
    #[serde(with = "crate::wire::duration")]
    pub resolve: Duration,
}

/// The targets of every priority: contract data, not ITIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets([Target; 5]);

impl Targets {
    /// Targets for P1 to P5.
    ///
    /// # Errors
    /// Every time must be above zero, and owning must not be allowed longer than resolving.
    pub fn new(targets: [Target; 5]) -> Result<Self, MatrixError> {
        for (target, priority) in targets.iter().zip(Priority::ALL) {
            if target.own.is_zero() || target.own > target.resolve {
                return Err(MatrixError::Target {
                    priority: *priority,
                });
            }
        }
        Ok(Self(targets))
    }

    /// The targets of `priority`.
    pub const fn of(&self, priority: Priority) -> Target {
        self.0[priority as usize]
    }
}

impl Default for Targets {
    /// Own within 15 min, 30 min, 1 h, 4 h, 8 h; resolve within 4 h, 8 h, 24 h, 72 h, 120 h.
    fn default() -> Self {
        let target = |own_min: u64, resolve_h: u64| Target {
            own: Duration::from_secs(own_min * 60),
            resolve: Duration::from_secs(resolve_h * 3600),
        };
        Self([
            target(15, 4),
            target(30, 8),
            target(60, 24),
            target(240, 72),
            target(480, 120),
        ])
    }
}

/// A table that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// The cell is graver than its neighbour of higher impact or urgency: correct the table.
    #[error("priority matrix: impact {impact:?}, urgency {urgency:?} outranks a graver neighbour")]
    NotMonotone {
        /// Row.
        impact: Impact,
        /// Column.
        urgency: IncidentUrgency,
    },
    /// A target of zero, or owning allowed longer than resolving.
    #[error("targets of {priority:?}: owning must take more than zero and no more than resolving")]
    Target {
        /// The priority with the bad targets.
        priority: Priority,
    },
}

telemetry_core::error_codes!(MatrixError {
    NotMonotone { .. } => 5001,
    Target { .. } => 5002,
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_is_servicenows() {
        let m = Matrix::default();
        assert_eq!(
            m.priority(Impact::High, IncidentUrgency::High),
            Priority::P1
        );
        assert_eq!(m.priority(Impact::High, IncidentUrgency::Low), Priority::P3);
        assert_eq!(
            m.priority(Impact::Medium, IncidentUrgency::Medium),
            Priority::P3
        );
        assert_eq!(m.priority(Impact::Low, IncidentUrgency::Low), Priority::P5);
        assert_eq!(Matrix::new("servicenow-3x3", m.cells), Ok(m));
        assert_eq!(Targets::new(Targets::default().0), Ok(Targets::default()));
    }

    proptest! {
        /// Whatever table is accepted, more impact or urgency never means less priority.
        #[test]
        fn accepted_means_monotone(cells in prop::array::uniform3(prop::array::uniform3(prop::sample::select(Priority::ALL)))) {
            let monotone = (0..3).all(|i| (0..3).all(|u| (0..=i).all(|a| (0..=u).all(|b| cells[a][b] <= cells[i][u]))));
            prop_assert_eq!(Matrix::new("any", cells).is_ok(), monotone);
        }
    }
}
