//! Every bound of this layer.

/// Bounds on what devices can make a store do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Columns of one table. 400: wide rows slow every query, and schemas come from devices. What
    /// has no column is kept in `extra`.
    pub columns_max: usize,
    /// Streams of the store. 4,096: each has a table.
    pub streams_max: usize,
    /// Schemas of a stream, those in quarantine among them. 256: each is parsed at opening.
    pub schemas_max: usize,
    /// Rows one page has. 100,000: what fits in memory beside the program.
    pub page_max: usize,
    /// Gaps that one answer has. 1,000,000.
    pub gaps_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            columns_max: 400,
            streams_max: 4_096,
            schemas_max: 256,
            page_max: 100_000,
            gaps_max: 1_000_000,
        }
    }
}
