//! Plots as SVG: lines over virtual time with outages shaded, and haptic patterns.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use telemetry_airpods::Haptic;

use super::markup::Markup;
use crate::clock::hms;
use crate::latency::Histogram;
use crate::words;

/// Size of a plot.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 190.0;
/// Room for the labels around the lines.
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// A line of a plot.
pub(crate) struct Line {
    /// Its name in the legend.
    pub name: &'static str,
    /// Its colour, a class of the style sheet.
    pub class: &'static str,
    /// Seconds and values.
    pub points: Vec<Option<(f64, f64)>>,
}

/// Lines over virtual time.
pub(crate) struct Plot<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Unit of the values.
    pub unit: &'a str,
    /// What a person who does not see it should know.
    pub summary: String,
    /// Time shown.
    pub span: Range<Duration>,
    /// Time shaded.
    pub outages: &'a [Range<Duration>],
    /// Whether the values begin at zero.
    pub from_zero: bool,
    pub lines: Vec<Line>,
}

impl Plot<'_> {
    /// Draws it as a figure.
    pub(crate) fn draw(&self, m: &mut Markup) {
        let values = || self.lines.iter().flat_map(|l| l.points.iter().flatten());
        let high = values().map(|(_, v)| *v).fold(f64::MIN, f64::max);
        let low = values().map(|(_, v)| *v).fold(f64::MAX, f64::min);
        m.element("figure", &[], |m| {
            m.element("figcaption", &[], |m| {
                m.line("strong", &[], self.title);
                m.line("span", &[("class", &"unit")], self.unit);
                for line in self.lines.iter().filter(|_| self.lines.len() > 1) {
                    m.element("span", &[("class", &"key")], |m| {
                        m.line("i", &[("class", &line.class)], "");
                        m.text(line.name);
                    });
                }
            });
            if low > high {
                m.line("p", &[("class", &"nothing")], "No values in this run.");
                return;
            }
            let low = if self.from_zero { low.min(0.0) } else { low };
            let step = nice((high - low).max(1.0) / 4.0);
            let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
            let scale = Scale {
                from: self.span.start.as_secs_f64(),
                seconds: (self.span.end.saturating_sub(self.span.start))
                    .as_secs_f64()
                    .max(1.0),
                low,
                high: high.max(low + step),
            };
            let size = format!("0 0 {WIDTH} {HEIGHT}");
            let svg: [(&str, &dyn std::fmt::Display); 4] = [
                ("viewBox", &size),
                ("role", &"img"),
                ("aria-label", &self.summary),
                ("class", &"plot"),
            ];
            m.element("svg", &svg, |m| {
                self.shade(m, &scale);
                scale.grid(m, step);
                for line in &self.lines {
                    let path = scale.path(&line.points);
                    m.empty("path", &[("class", &line.class), ("d", &path)]);
                }
            });
        });
    }

    fn shade(&self, m: &mut Markup, scale: &Scale) {
        for outage in self.outages {
            let shown = outage.start.max(self.span.start)..outage.end.min(self.span.end);
            if shown.is_empty() {
                continue;
            }
            let from = scale.x(shown.start.as_secs_f64());
            let to = scale.x(shown.end.as_secs_f64());
            let (x, width) = (tenth(from), tenth((to - from).max(1.0)));
            let height = HEIGHT - TOP - BOTTOM;
            let rect: [(&str, &dyn std::fmt::Display); 5] = [
                ("class", &"outage"),
                ("x", &x),
                ("y", &TOP),
                ("width", &width),
                ("height", &height),
            ];
            m.element("rect", &rect, |m| {
                let (from, to) = (hms(outage.start), hms(outage.end));
                m.line("title", &[], format!("link down, {from} to {to}"));
            });
        }
    }
}

struct Scale {
    from: f64,
    seconds: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * ((seconds - self.from) / self.seconds).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
    }

    fn grid(&self, m: &mut Markup, step: f64) {
        let lines = ((self.high - self.low) / step).round() as u32;
        for i in 0..=lines {
            let value = self.low + step * f64::from(i);
            let y = tenth(self.y(value));
            let (x1, x2) = (LEFT, WIDTH - RIGHT);
            m.empty(
                "path",
                &[("class", &"grid"), ("d", &format!("M{x1} {y}H{x2}"))],
            );
            let at = (LEFT - 6.0, self.y(value) + 4.0);
            let digits = usize::from(step < 1.0);
            label(m, "end", at, format!("{value:.digits$}"));
        }
        let step = nice_time(self.seconds / 5.0);
        // Virtual time is far below 2^52 seconds.
        let mut second = (self.from.ceil() as u64).next_multiple_of(step);
        while second as f64 <= self.from + self.seconds {
            let x = self.x(second as f64);
            label(
                m,
                "middle",
                (x, HEIGHT - 8.0),
                hms(Duration::from_secs(second)),
            );
            second += step;
        }
    }

    /// A line that stops where values are missing for long.
    fn path(&self, points: &[Option<(f64, f64)>]) -> String {
        const GAP_MAX: usize = 8;
        let mut path = String::new();
        let mut missing = GAP_MAX + 1;
        for point in points {
            let Some((seconds, value)) = point else {
                missing += 1;
                continue;
            };
            let verb = if missing > GAP_MAX { 'M' } else { 'L' };
            missing = 0;
            let (x, y) = (tenth(self.x(*seconds)), tenth(self.y(*value)));
            // Writing to a string cannot fail.
            let _ = write!(path, "{verb}{x} {y}");
            if verb == 'M' {
                // A lone point is a dot: the ends of lines are round.
                let _ = write!(path, "h0");
            }
        }
        path
    }
}

fn label(m: &mut Markup, anchor: &str, (x, y): (f64, f64), text: String) {
    let (x, y) = (tenth(x), tenth(y));
    m.line(
        "text",
        &[("x", &x), ("y", &y), ("text-anchor", &anchor)],
        text,
    );
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The next number up of 1, 2, 5, 10, ...
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|f| f * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// The next step up that people count time in, in seconds.
fn nice_time(step: f64) -> u64 {
    const STEPS: [u64; 13] = [
        5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400,
    ];
    let step = step.ceil() as u64;
    let found = STEPS.into_iter().find(|s| *s >= step);
    found.unwrap_or_else(|| step.next_multiple_of(86_400))
}

/// Draws how long each stage took, on a scale of powers of ten.
pub(crate) fn latencies(m: &mut Markup, stages: &[(&str, &Histogram)]) {
    const ROW: f64 = 34.0;
    const DECADES: [(i32, &str); 7] = [
        (-5, "10 µs"),
        (-4, "100 µs"),
        (-3, "1 ms"),
        (-2, "10 ms"),
        (-1, "100 ms"),
        (0, "1 s"),
        (1, "10 s"),
    ];
    const LEFT: f64 = 14.0;
    let x = |seconds: f64| {
        let share = (seconds.max(1e-9).log10() + 5.0) / 6.0;
        tenth(LEFT + (WIDTH - LEFT - 24.0) * share.clamp(0.0, 1.0))
    };
    let bottom = ROW * stages.len() as f64 + 4.0;
    let summary: Vec<String> = stages
        .iter()
        .map(|(name, times)| {
            let (half, most) = (times.quantile(0.5), times.quantile(0.99));
            format!("{name}: half within {half:.1?}, 99 of 100 within {most:.1?}")
        })
        .collect();
    let size = format!("0 0 {WIDTH} {}", bottom + 20.0);
    let svg: [(&str, &dyn std::fmt::Display); 4] = [
        ("viewBox", &size),
        ("role", &"img"),
        ("aria-label", &summary.join("; ")),
        ("class", &"latencies"),
    ];
    m.element("svg", &svg, |m| {
        for (power, name) in DECADES {
            let at = x(10f64.powi(power));
            m.empty(
                "path",
                &[("class", &"grid"), ("d", &format!("M{at} 0V{bottom}"))],
            );
            label(m, "middle", (at, bottom + 15.0), name.to_owned());
        }
        for (row, (name, times)) in stages.iter().enumerate() {
            let top = ROW * row as f64;
            label(m, "start", (LEFT + 4.0, top + 14.0), (*name).to_owned());
            let at = |share| x(times.quantile(share).as_secs_f64());
            let (from, to, half, end) = (at(0.1), at(0.9), at(0.5), at(0.99));
            let middle = top + 24.0;
            for (class, path) in [
                ("whisker", format!("M{from} {middle}H{end}")),
                ("bar", format!("M{from} {middle}H{to}")),
                ("half", format!("M{half} {}v12", middle - 6.0)),
            ] {
                m.empty("path", &[("class", &class), ("d", &path)]);
            }
        }
    });
}

/// Draws a pattern: height is strength, colour is crispness, a triangle fades.
pub(crate) fn haptic(m: &mut Markup, haptic: Haptic) {
    const HEIGHT: f64 = 60.0;
    const TAP_MS: u128 = 26;
    let scale = (WIDTH - 20.0) / 1_800.0;
    let touches = haptic.touches();
    let summary = format!(
        "How {} feels: {} touches in {} ms",
        words::haptic(haptic),
        touches.len(),
        haptic.length().as_millis()
    );
    let size = format!("0 0 {WIDTH} {}", HEIGHT + 18.0);
    let svg: [(&str, &dyn std::fmt::Display); 4] = [
        ("viewBox", &size),
        ("role", &"img"),
        ("aria-label", &summary),
        ("class", &"haptic"),
    ];
    m.element("svg", &svg, |m| {
        let base = HEIGHT;
        m.empty(
            "path",
            &[("class", &"grid"), ("d", &format!("M10 {base}H470"))],
        );
        for touch in touches {
            let x = tenth(10.0 + touch.at.as_millis() as f64 * scale);
            let width = tenth(touch.length.as_millis().max(TAP_MS) as f64 * scale);
            let height = tenth(f64::from(touch.intensity) / 100.0 * (HEIGHT - 6.0));
            let path = if touch.fades {
                format!("M{x} {base}v-{height}l{width} {height}z")
            } else {
                format!("M{x} {base}v-{height}h{width}v{height}z")
            };
            let opacity = 0.35 + f64::from(touch.sharpness) / 100.0 * 0.65;
            let opacity = (opacity * 100.0).round() / 100.0;
            m.empty("path", &[("d", &path), ("opacity", &opacity)]);
        }
        for ms in [0u32, 500, 1_000, 1_500] {
            let x = 10.0 + f64::from(ms) * scale;
            let anchor = if ms == 0 { "start" } else { "middle" };
            label(m, anchor, (x, HEIGHT + 14.0), format!("{ms} ms"));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_ones_that_people_read() {
        let steps = [0.3, 1.0, 1.2, 37.0, 51.0, 600.0].map(nice);
        assert_eq!(steps, [0.5, 1.0, 2.0, 50.0, 100.0, 1_000.0]);
        let steps = [3.0, 61.0, 20_000.0].map(nice_time);
        assert_eq!(steps, [5, 120, 86_400]);
    }

    #[test]
    fn lines_break_where_values_are_missing_for_long() {
        let scale = Scale {
            from: 0.0,
            seconds: 422.0,
            low: 0.0,
            high: 1.0,
        };
        let mut points = vec![Some((0.0, 0.0)), None, Some((1.0, 1.0))];
        points.extend([None; 9]);
        points.push(Some((2.0, 1.0)));
        assert_eq!(scale.path(&points), "M46 164h0L47 12M48 12h0");
    }
}
