//! The layout: which reading stands where, and what must be drawn again.

use crate::Reading;
use crate::canvas::{Align, Area, Canvas, Colour, Style};
use crate::chart::{self, History, Line};
use crate::font::{Fonts, Weight};

/// Width of the screen in pixels.
pub const WIDTH: usize = 480;
/// Height of the screen in pixels.
pub const HEIGHT: usize = 272;

/// Widest title in pixels: the rest of the header tells what is saved.
const TITLE_MAX: f32 = 270.0;
const TITLE_SIZE: u16 = 20;

/// What is shown for an absent reading.
const ABSENT: &str = "–";

const BACKGROUND: Colour = 0x0b_0e13;
const CARD: Colour = 0x16_1b24;
const GRID: Colour = 0x25_2d3a;
const QUIET: Colour = 0x8b_96a8;
const BRIGHT: Colour = 0xf5_f7fa;
const HEART: Colour = 0xff_5c63;
const POWER: Colour = 0xff_b62e;
const SPEED: Colour = 0x3f_c5ff;
const SAVED: Colour = 0x3f_dd9b;

/// A part of the screen that is drawn as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Widget {
    Header,
    HeartRate,
    Power,
    Speed,
    Time,
    Distance,
    Chart,
}

/// All widgets with their places.
const LAYOUT: [(Widget, Area); 7] = [
    (Widget::Header, Area::new(0, 0, 480, 30)),
    (Widget::HeartRate, Area::new(8, 32, 176, 96)),
    (Widget::Power, Area::new(192, 32, 136, 96)),
    (Widget::Speed, Area::new(336, 32, 136, 96)),
    (Widget::Time, Area::new(8, 136, 228, 42)),
    (Widget::Distance, Area::new(244, 136, 228, 42)),
    (Widget::Chart, Area::new(8, 186, 464, 78)),
];

/// A set of widgets, one bit each in the order of the layout.
pub(crate) type Widgets = u8;
/// All of them.
pub(crate) const ALL: Widgets = (1 << LAYOUT.len()) - 1;

/// The places of a set of widgets; the whole screen, with the gaps between them, for all.
pub(crate) fn areas(widgets: Widgets) -> impl Iterator<Item = Area> {
    let whole = (widgets == ALL).then_some(Area::new(0, 0, WIDTH, HEIGHT));
    let some = LAYOUT
        .iter()
        .enumerate()
        .filter(move |(i, _)| whole.is_none() && widgets & (1 << i) != 0)
        .map(|(_, (_, area))| *area);
    whole.into_iter().chain(some)
}

/// The workout screen: give it readings, draw it, take its pixels.
#[derive(Debug)]
pub struct Screen {
    canvas: Canvas,
    fonts: Fonts,
    title: String,
    reading: Reading,
    samples: u64,
    sent: u64,
    durable: u64,
    heart_rate: History,
    power: History,
    /// The text in each widget as it was drawn last.
    drawn: [String; LAYOUT.len()],
}

impl Screen {
    /// A screen without readings, not drawn yet. A long title is cut.
    pub fn new(title: &str) -> Self {
        let mut fonts = Fonts::new();
        let (mut title, mut end) = (title.to_owned(), title.len());
        while fonts.width(&title, Weight::Medium, TITLE_SIZE) > TITLE_MAX {
            end = title.floor_char_boundary(end.saturating_sub(1));
            title.truncate(end);
            title.push('…');
        }
        Self {
            canvas: Canvas::new(WIDTH, HEIGHT, BACKGROUND),
            fonts,
            title,
            reading: Reading::default(),
            samples: 0,
            sent: 0,
            durable: 0,
            heart_rate: History::default(),
            power: History::default(),
            drawn: Default::default(),
        }
    }

    /// Takes up what was read last.
    pub fn update(&mut self, reading: Reading) {
        self.reading = reading;
        self.samples += 1;
        self.heart_rate.push(reading.heart_rate.map(f32::from));
        self.power.push(reading.power.map(f32::from));
    }

    /// Takes up the serials of the last record sent and of the last durable one.
    pub fn progress(&mut self, sent: u64, durable: u64) {
        (self.sent, self.durable) = (sent, durable);
    }

    /// Draws what changed since the last call.
    pub fn draw(&mut self) {
        self.redraw();
    }

    /// Pixels in XRGB8888, row by row.
    pub fn pixels(&self) -> &[u32] {
        self.canvas.rows(0, HEIGHT)
    }

    pub(crate) fn rows(&self, area: Area) -> &[u32] {
        self.canvas.rows(area.y, area.height)
    }

    /// Draws what changed since the last call, and says which widgets did.
    pub(crate) fn redraw(&mut self) -> Widgets {
        let mut changed = 0;
        for (i, (widget, area)) in LAYOUT.into_iter().enumerate() {
            let text = self.text(widget);
            if self.drawn[i] == text {
                continue;
            }
            self.paint(widget, area, &text);
            self.drawn[i] = text;
            changed |= 1 << i;
        }
        changed
    }

    /// What a widget says; as long as it is the same, so is the widget.
    fn text(&self, widget: Widget) -> String {
        let r = &self.reading;
        match widget {
            Widget::Header if self.durable < self.sent => {
                format!("{} of {} saved", grouped(self.durable), grouped(self.sent))
            }
            Widget::Header => format!("{} saved", grouped(self.durable)),
            Widget::HeartRate => r.heart_rate.map_or(ABSENT.into(), |v| v.to_string()),
            Widget::Power => r.power.map_or(ABSENT.into(), |v| v.to_string()),
            Widget::Speed => r.speed.map_or(ABSENT.into(), |v| format!("{:.1}", v * 3.6)),
            Widget::Time => r.elapsed.map_or(ABSENT.into(), |v| {
                let s = v.as_secs();
                format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
            }),
            Widget::Distance => r
                .distance
                .map_or(ABSENT.into(), |v| format!("{:.2}", v / 1000.0)),
            // It gets longer with every sample.
            Widget::Chart => self.samples.to_string(),
        }
    }

    fn paint(&mut self, widget: Widget, area: Area, text: &str) {
        self.canvas.fill(area, BACKGROUND);
        match widget {
            Widget::Header => self.header(text),
            Widget::HeartRate => self.number(area, "HEART RATE", HEART, text, "bpm", 78),
            Widget::Power => self.number(area, "POWER", POWER, text, "W", 60),
            Widget::Speed => self.number(area, "SPEED", SPEED, text, "km/h", 60),
            Widget::Time => self.line(area, "TIME", text, ""),
            Widget::Distance => self.line(area, "DISTANCE", text, "km"),
            Widget::Chart => self.chart(area),
        }
    }

    fn style(weight: Weight, size: u16, colour: Colour, align: Align) -> Style {
        Style {
            weight,
            size,
            colour,
            align,
        }
    }

    fn header(&mut self, text: &str) {
        let title = Self::style(Weight::Medium, TITLE_SIZE, BRIGHT, Align::Left);
        self.canvas
            .text(&mut self.fonts, (12, 22), &self.title, title);
        let saved = Self::style(Weight::Regular, 16, QUIET, Align::Right);
        let width = self.canvas.text(&mut self.fonts, (468, 21), text, saved);
        let all = self.durable >= self.sent;
        let colour = if all { SAVED } else { POWER };
        self.canvas.dot(468 - width - 11, 16, 4, colour);
    }

    /// A card with a large number: label and unit above.
    fn number(
        &mut self,
        area: Area,
        label: &str,
        accent: Colour,
        text: &str,
        unit: &str,
        size: u16,
    ) {
        self.canvas.card(area, 9, CARD);
        let (left, foot) = (area.x + 13, area.y + area.height - 15);
        let style = Self::style(Weight::Medium, 15, accent, Align::Left);
        self.canvas
            .text(&mut self.fonts, (left, area.y + 20), label, style);
        let shown = if text == ABSENT { QUIET } else { BRIGHT };
        let style = Self::style(Weight::Medium, size, shown, Align::Left);
        // Large digits carry some space of their own on the left.
        let at = (left - usize::from(size) / 30, foot);
        self.canvas.text(&mut self.fonts, at, text, style);
        let style = Self::style(Weight::Regular, 16, QUIET, Align::Right);
        let at = (area.x + area.width - 12, area.y + 20);
        self.canvas.text(&mut self.fonts, at, unit, style);
    }

    /// A low card: label on the left, number and unit on the right.
    fn line(&mut self, area: Area, label: &str, text: &str, unit: &str) {
        self.canvas.card(area, 9, CARD);
        let middle = area.y + area.height / 2;
        let style = Self::style(Weight::Medium, 15, QUIET, Align::Left);
        self.canvas
            .text(&mut self.fonts, (area.x + 13, middle + 5), label, style);
        let mut right = area.x + area.width - 12;
        if !unit.is_empty() {
            let style = Self::style(Weight::Regular, 17, QUIET, Align::Right);
            let at = (right, middle + 10);
            right -= self.canvas.text(&mut self.fonts, at, unit, style) + 6;
        }
        let shown = if text == ABSENT { QUIET } else { BRIGHT };
        let style = Self::style(Weight::Medium, 36, shown, Align::Right);
        self.canvas
            .text(&mut self.fonts, (right, middle + 10), text, style);
    }

    fn chart(&mut self, area: Area) {
        self.canvas.card(area, 9, CARD);
        let plot = Area::new(area.x + 10, area.y + 22, area.width - 20, area.height - 29);
        for i in 0..3 {
            let y = plot.y + (plot.height - 1) * i / 2;
            self.canvas.fill(Area::new(plot.x, y, plot.width, 1), GRID);
        }
        let power = Line {
            colour: POWER,
            half: 0.6,
            shade: 0.16,
            span_min: 50.0,
            from_zero: true,
        };
        chart::draw(&mut self.canvas, plot, &self.power, power);
        let heart = Line {
            colour: HEART,
            half: 1.0,
            shade: 0.0,
            span_min: 20.0,
            from_zero: false,
        };
        chart::draw(&mut self.canvas, plot, &self.heart_rate, heart);

        let max = |history: &History, unit: &str| {
            history
                .max()
                .map_or(ABSENT.into(), |m| format!("max {m:.0} {unit}"))
        };
        let baseline = area.y + 16;
        let mut right = area.x + area.width - 12;
        for (colour, text) in [
            (POWER, max(&self.power, "W")),
            (HEART, max(&self.heart_rate, "bpm")),
        ] {
            let style = Self::style(Weight::Regular, 14, QUIET, Align::Right);
            let at = (right, baseline);
            let width = self.canvas.text(&mut self.fonts, at, &text, style);
            self.canvas.dot(right - width - 8, baseline - 4, 3, colour);
            right -= width + 26;
        }
        let style = Self::style(Weight::Medium, 14, QUIET, Align::Left);
        let at = (area.x + 13, baseline);
        self.canvas.text(&mut self.fonts, at, "SESSION", style);
    }
}

/// A number with a space between groups of three digits.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn groups_digits() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn only_what_changed_is_drawn_again() {
        let mut screen = Screen::new("Ride");
        assert_eq!(screen.redraw(), ALL);
        assert_eq!(screen.redraw(), 0);
        screen.update(Reading {
            elapsed: Some(Duration::from_secs(1)),
            heart_rate: Some(120),
            ..Reading::default()
        });
        let changed = screen.redraw();
        let heart_time_chart = 1 << 1 | 1 << 4 | 1 << 6;
        assert_eq!(changed, heart_time_chart);
        assert_eq!(areas(changed).count(), 3);
    }

    #[test]
    fn a_long_title_is_cut() {
        let screen = Screen::new(&"Übung ".repeat(30));
        assert!(screen.title.ends_with('…') && screen.title.len() > 20);
        assert_eq!(Screen::new("Ride").title, "Ride");
    }

    #[test]
    fn all_widgets_are_the_whole_screen() {
        let whole: Vec<Area> = areas(ALL).collect();
        assert_eq!(whole, [Area::new(0, 0, WIDTH, HEIGHT)]);
    }

    #[test]
    fn widgets_do_not_overlap() {
        let mut seen = vec![false; WIDTH * HEIGHT];
        for (_, area) in LAYOUT {
            for y in area.y..area.y + area.height {
                for x in area.x..area.x + area.width {
                    assert!(!std::mem::replace(&mut seen[y * WIDTH + x], true));
                }
            }
        }
    }
}
