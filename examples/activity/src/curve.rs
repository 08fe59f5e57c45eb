//! One reading over a whole activity, in bounded memory.

use std::time::Duration;

/// Bins of a curve: wider than any terminal.
const BINS: usize = 240;

/// Least, mean and most of a reading, and its mean in each of at most 240 stretches of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Sum and number of the values in each stretch.
    bins: Vec<(f64, u32)>,
    /// Seconds in a stretch.
    width: u64,
    range: Option<(f64, f64)>,
    sum: f64,
    count: u64,
}

impl Curve {
    /// Adds the value at a moment, which is not before the last one.
    pub(crate) fn add(&mut self, at: Duration, value: Option<f64>) {
        let Some(value) = value else { return };
        self.width = self.width.max(1);
        while at.as_secs() / self.width >= BINS as u64 {
            self.width *= 2;
            let pairs = self.bins.chunks(2);
            self.bins = pairs
                .map(|pair| {
                    pair.iter()
                        .fold((0.0, 0), |(s, n), bin| (s + bin.0, n + bin.1))
                })
                .collect();
        }
        let bin = (at.as_secs() / self.width) as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, (0.0, 0));
        }
        self.bins[bin].0 += value;
        self.bins[bin].1 += 1;
        let (least, most) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), most.max(value)));
        self.sum += value;
        self.count += 1;
    }

    /// The smallest value.
    pub fn least(&self) -> Option<f64> {
        self.range.map(|range| range.0)
    }

    /// The mean over the samples.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The largest value.
    pub fn most(&self) -> Option<f64> {
        self.range.map(|range| range.1)
    }

    /// The means of `columns` stretches of equal length over `length`; `None` where there is no
    /// value.
    pub fn columns(&self, columns: usize, length: Duration) -> Vec<Option<f64>> {
        let seconds = length.as_secs() + 1;
        let mut out = vec![(0.0, 0_u32); columns];
        let width = self.width.max(1);
        for (index, (sum, count)) in self.bins.iter().enumerate() {
            // A stretch may cover several columns of a short activity.
            let (from, to) = (index as u64 * width, (index as u64 + 1) * width);
            let column = |second: u64| (second * columns as u64 / seconds) as usize;
            let last = column(to.min(seconds) - 1).max(column(from));
            for column in column(from)..=last {
                if let Some(place) = out.get_mut(column) {
                    place.0 += sum;
                    place.1 += count;
                }
            }
        }
        out.into_iter()
            .map(|(sum, count)| (count > 0).then(|| sum / f64::from(count)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_range_mean_and_shape_in_few_bins() {
        let mut curve = Curve::default();
        for second in 0..100_000 {
            curve.add(Duration::from_secs(second), Some(second as f64));
        }
        assert!(curve.bins.len() <= BINS);
        assert_eq!((curve.least(), curve.most()), (Some(0.0), Some(99_999.0)));
        assert_eq!(curve.mean(), Some(49_999.5));
        let columns = curve.columns(10, Duration::from_secs(99_999));
        assert!(columns.is_sorted_by(|a, b| a < b));
        assert!(columns.iter().all(Option::is_some));
    }

    #[test]
    fn a_pause_is_a_gap() {
        let mut curve = Curve::default();
        curve.add(Duration::ZERO, Some(1.0));
        curve.add(Duration::from_secs(9), Some(3.0));
        let columns = curve.columns(10, Duration::from_secs(9));
        assert_eq!(columns[0], Some(1.0));
        assert_eq!(columns[1..9], [None; 8]);
        assert_eq!(columns[9], Some(3.0));
        assert_eq!(Curve::default().columns(2, Duration::ZERO), [None, None]);
    }
}
