//! Values over time in bounded memory: neighbours are merged when there are too many.

use std::ops::Range;
use std::time::Duration;

/// Points that a series keeps.
const POINTS_MAX: usize = 512;

/// The values of one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    count: u32,
    sum: f64,
    max: f64,
}

/// Values over virtual time, at most 512 points however long it gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Time that a point stands for.
    width: Duration,
    points: Vec<Point>,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            width: Duration::from_secs(1),
            points: Vec::new(),
        }
    }
}

impl Series {
    /// Adds a value.
    pub fn push(&mut self, at: Duration, value: f64) {
        while self.place(at) >= POINTS_MAX {
            self.points = self
                .points
                .chunks(2)
                .map(|pair| {
                    pair.iter().fold(Point::default(), |a, b| Point {
                        count: a.count + b.count,
                        sum: a.sum + b.sum,
                        max: if a.count == 0 {
                            b.max
                        } else {
                            a.max.max(b.max)
                        },
                    })
                })
                .collect();
            self.width *= 2;
        }
        let place = self.place(at);
        if self.points.len() <= place {
            self.points.resize(place + 1, Point::default());
        }
        let point = &mut self.points[place];
        point.max = if point.count == 0 {
            value
        } else {
            point.max.max(value)
        };
        point.count += 1;
        point.sum += value;
    }

    fn place(&self, at: Duration) -> usize {
        (at.as_nanos() / self.width.as_nanos()) as usize
    }

    fn points(&self, value: impl Fn(&Point) -> f64) -> Vec<Option<(f64, f64)>> {
        let points = self.points.iter().enumerate();
        points
            .map(|(i, point)| {
                let middle = self.width.as_secs_f64() * (i as f64 + 0.5);
                (point.count > 0).then(|| (middle, value(point)))
            })
            .collect()
    }

    /// Seconds and mean value of each point; `None` where there is no value.
    pub fn means(&self) -> Vec<Option<(f64, f64)>> {
        self.points(|p| p.sum / f64::from(p.count))
    }

    /// Seconds and largest value of each point; `None` where there is no value.
    pub fn peaks(&self) -> Vec<Option<(f64, f64)>> {
        self.points(|p| p.max)
    }

    /// From the first value to the last; `None` if there is none.
    pub fn span(&self) -> Option<Range<Duration>> {
        let first = self.points.iter().position(|p| p.count > 0)?;
        let (first, end) = (first as u32, self.points.len() as u32);
        Some(self.width * first..self.width * end)
    }

    /// The mean of all values, and the largest; `None` if there is none.
    pub fn mean_and_max(&self) -> Option<(f64, f64)> {
        let filled = || self.points.iter().filter(|p| p.count > 0);
        let count: f64 = filled().map(|p| f64::from(p.count)).sum();
        let sum: f64 = filled().map(|p| p.sum).sum();
        let max = filled().map(|p| p.max).reduce(f64::max)?;
        Some((sum / count, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_keeps_its_mean_and_its_peak_in_few_points() {
        let mut series = Series::default();
        for second in 0..100_000 {
            let value = if second == 70_001 { 900.0 } else { 100.0 };
            series.push(Duration::from_secs(second), value);
        }
        assert!(series.means().len() <= POINTS_MAX);
        let (mean, max) = series.mean_and_max().unwrap();
        assert!((mean - 100.008).abs() < 1e-6, "{mean}");
        assert!((max - 900.0).abs() < 1e-9);
        let peaks = series.peaks();
        assert_eq!(
            peaks.iter().flatten().filter(|(_, v)| *v > 100.0).count(),
            1
        );
    }

    #[test]
    fn time_without_values_is_a_gap() {
        let mut series = Series::default();
        series.push(Duration::from_secs(2), -4.0);
        let seconds = Duration::from_secs;
        assert_eq!(series.span(), Some(seconds(2)..seconds(3)));
        assert_eq!(series.peaks(), [None, None, Some((2.5, -4.0))]);
        assert_eq!(Series::default().mean_and_max(), None);
    }
}
