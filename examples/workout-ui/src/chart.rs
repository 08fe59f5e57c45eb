//! The whole activity as two lines: averages over ever longer stretches, in bounded memory.

use crate::canvas::{Area, Canvas, Colour};

/// Stretches kept at most: one for each two pixels of the chart.
const BINS_MAX: usize = 230;

/// Sum and number of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bin {
    sum: f32,
    count: f32,
}

impl Bin {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    fn mean(self) -> Option<f32> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

/// A history of readings. When it is full, neighbours are joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    bins: Vec<Bin>,
    /// Samples in each bin but the last.
    samples_per_bin: usize,
    samples_in_last: usize,
    max: Option<f32>,
}

impl History {
    pub(crate) fn push(&mut self, reading: Option<f32>) {
        if self.bins.is_empty() || self.samples_in_last >= self.samples_per_bin {
            if self.bins.len() == BINS_MAX {
                for i in 0..BINS_MAX / 2 {
                    let mut joined = self.bins[i * 2];
                    joined.add(self.bins[i * 2 + 1]);
                    self.bins[i] = joined;
                }
                self.bins.truncate(BINS_MAX / 2);
            }
            if self.bins.len() == BINS_MAX / 2 && self.samples_in_last > 0 {
                self.samples_per_bin *= 2;
            }
            self.samples_per_bin = self.samples_per_bin.max(1);
            self.bins.push(Bin::default());
            self.samples_in_last = 0;
        }
        self.samples_in_last += 1;
        if let (Some(value), Some(last)) = (reading, self.bins.last_mut()) {
            last.add(Bin {
                sum: value,
                count: 1.0,
            });
            self.max = Some(self.max.map_or(value, |m| m.max(value)));
        }
    }

    /// The largest reading.
    pub(crate) fn max(&self) -> Option<f32> {
        self.max
    }

    /// Smallest and largest mean, or none without readings.
    fn range(&self) -> Option<(f32, f32)> {
        let means = || self.bins.iter().filter_map(|b| b.mean());
        let low = means().reduce(f32::min)?;
        Some((low, means().reduce(f32::max)?))
    }

    /// The value at `x` between 0 and 1, a straight line between two means.
    fn at(&self, x: f32) -> Option<f32> {
        let at = x * (self.bins.len().checked_sub(1)? as f32);
        let (left, part) = (at as usize, at.fract());
        let here = self.bins.get(left)?.mean();
        let next = self.bins.get(left + 1).and_then(|b| b.mean());
        match (here, next) {
            (Some(a), Some(b)) => Some(a + (b - a) * part),
            (Some(a), None) if part < 0.5 => Some(a),
            (None, Some(b)) if part >= 0.5 => Some(b),
            _ => None,
        }
    }
}

/// How a history is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) colour: Colour,
    /// Half of the stroke's width in pixels.
    pub(crate) half: f32,
    /// How strong the area below is, from 0 to 1.
    pub(crate) shade: f32,
    /// The scale spans at least this much, so that noise does not look like mountains.
    pub(crate) span_min: f32,
    /// Whether the scale begins at 0.
    pub(crate) from_zero: bool,
}

/// Draws a history over the whole width of `area`.
pub(crate) fn draw(canvas: &mut Canvas, area: Area, history: &History, line: Line) {
    let Some((low, high)) = history.range() else {
        return;
    };
    let low = if line.from_zero { 0.0 } else { low };
    let span = (high - low).max(line.span_min);
    let base = low - (span - (high - low)) / 2.0 * f32::from(u8::from(!line.from_zero));
    let (top, height) = (area.y as f32 + 2.0, area.height as f32 - 4.0);
    let y_at = |x: f32| {
        let value = history.at(x.clamp(0.0, 1.0))?;
        Some(top + height * (1.0 - (value - base) / span))
    };
    let step = 1.0 / (area.width - 1).max(1) as f32;
    for column in 0..area.width {
        let x = column as f32 * step;
        let Some(y) = y_at(x) else { continue };
        // From half a pixel before to half a pixel after: steep parts stay connected.
        let ends = [
            y_at(x - step / 2.0).unwrap_or(y),
            y_at(x + step / 2.0).unwrap_or(y),
        ];
        let upper = ends[0].min(ends[1]).min(y) - line.half;
        let lower = ends[0].max(ends[1]).max(y) + line.half;
        for row in area.y..area.y + area.height {
            let (pixel_top, pixel_end) = (row as f32, row as f32 + 1.0);
            let inside = (lower.min(pixel_end) - upper.max(pixel_top)).max(0.0);
            if pixel_top >= y && line.shade > 0.0 {
                let depth = (pixel_top - y) / (area.y as f32 + area.height as f32 - y).max(1.0);
                let shade = line.shade * (1.0 - depth);
                canvas.blend(area.x + column, row, line.colour, shade);
            }
            if inside > 0.0 {
                canvas.blend(area.x + column, row, line.colour, inside);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_means_stay() {
        let mut history = History::default();
        for i in 0..100_000u32 {
            history.push((i % 3 != 0).then_some(100.0));
            assert!(history.bins.len() <= BINS_MAX);
        }
        assert!(history.bins.len() >= BINS_MAX / 2);
        assert_eq!(history.range(), Some((100.0, 100.0)));
        let total: f32 = history.bins.iter().map(|b| b.count).sum();
        assert_eq!(total, 66_666.0);
    }
}
