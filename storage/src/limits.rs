//! Every bound of this layer.

/// Bounds on what a stream of schemas can make a store do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Columns of one table. 400: wide rows slow every query, and schemas come from devices.
    pub columns_max: usize,
    /// Rows one read returns. 1,000,000: what fits in memory beside the program.
    pub rows_read_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            columns_max: 400,
            rows_read_max: 1_000_000,
        }
    }
}
