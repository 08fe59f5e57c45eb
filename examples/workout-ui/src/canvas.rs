//! Pixels: rectangles, round corners, blending, text.

use crate::font::{Fonts, Weight};

/// A colour as `0x00rrggbb`.
pub(crate) type Colour = u32;

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Area {
    pub(crate) const fn new(x: usize, y: usize, width: usize, height: usize) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }
}

/// On which side of its position a text stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Align {
    /// The text begins there.
    Left,
    /// The text ends there.
    Right,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) weight: Weight,
    /// Height of a line in pixels.
    pub(crate) size: u16,
    pub(crate) colour: Colour,
    pub(crate) align: Align,
}

/// A picture in XRGB8888.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u32>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self {
            width,
            height,
            pixels: vec![colour; width * height],
        }
    }

    /// Pixels of whole rows, from `first` on.
    pub(crate) fn rows(&self, first: usize, count: usize) -> &[u32] {
        &self.pixels[first * self.width..(first + count) * self.width]
    }

    /// Mixes `colour` into a pixel; `alpha` 0 leaves it, 1 replaces it. Outside is ignored.
    pub(crate) fn blend(&mut self, x: usize, y: usize, colour: Colour, alpha: f32) {
        if x >= self.width || y >= self.height {
            return;
        }
        let pixel = &mut self.pixels[y * self.width + x];
        let alpha = (alpha.clamp(0.0, 1.0) * 256.0) as u32;
        let channel = |shift: u32| {
            let (old, new) = (*pixel >> shift & 0xff, colour >> shift & 0xff);
            (old * (256 - alpha) + new * alpha) >> 8 << shift
        };
        *pixel = channel(16) | channel(8) | channel(0);
    }

    pub(crate) fn fill(&mut self, area: Area, colour: Colour) {
        for y in area.y..(area.y + area.height).min(self.height) {
            let row = &mut self.pixels[y * self.width..][..self.width];
            row[area.x..(area.x + area.width).min(self.width)].fill(colour);
        }
    }

    /// Fills a rectangle with round corners; the corners keep what is below.
    pub(crate) fn card(&mut self, area: Area, radius: usize, colour: Colour) {
        let r = radius as f32;
        for y in 0..area.height {
            for x in 0..area.width {
                // Distance into the corner's square, on either axis.
                let into = |at: usize, len: usize| {
                    let near = at.min(len - 1 - at) as f32;
                    (r - near - 0.5).max(0.0)
                };
                let (dx, dy) = (into(x, area.width), into(y, area.height));
                let outside = (dx * dx + dy * dy).sqrt() - r;
                self.blend(area.x + x, area.y + y, colour, 0.5 - outside);
            }
        }
    }

    /// Fills a circle.
    pub(crate) fn dot(&mut self, x: usize, y: usize, radius: usize, colour: Colour) {
        let size = radius * 2 + 1;
        self.card(
            Area::new(x - radius, y - radius, size, size),
            radius,
            colour,
        );
    }

    /// Writes `text` with its baseline at `y`. Returns its width in pixels.
    pub(crate) fn text(
        &mut self,
        fonts: &mut Fonts,
        (x, y): (usize, usize),
        text: &str,
        style: Style,
    ) -> usize {
        let width = fonts.width(text, style.weight, style.size);
        let mut pen = match style.align {
            Align::Left => x as f32,
            Align::Right => x as f32 - width,
        };
        for c in text.chars() {
            let glyph = fonts.glyph(c, style.weight, style.size);
            let (left, top) = (pen.round() as i32 + glyph.left, y as i32 + glyph.top);
            for (i, coverage) in glyph.coverage.iter().enumerate() {
                let (dx, dy) = ((i % glyph.width) as i32, (i / glyph.width) as i32);
                if let (Ok(x), Ok(y)) = (usize::try_from(left + dx), usize::try_from(top + dy)) {
                    self.blend(x, y, style.colour, *coverage);
                }
            }
            pen += glyph.advance;
        }
        width.ceil() as usize
    }
}
