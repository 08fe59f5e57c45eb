//! Two weights of one font; each glyph is drawn once and kept.

use std::collections::BTreeMap;

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _};

/// How heavy the strokes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    Regular,
    Medium,
}

/// A drawn character.
#[derive(Clone, Debug, Default)]
pub(crate) struct Glyph {
    /// From the pen to its left edge.
    pub(crate) left: i32,
    /// From the baseline to its upper edge.
    pub(crate) top: i32,
    pub(crate) width: usize,
    /// How much of each pixel is inside, row by row.
    pub(crate) coverage: Vec<f32>,
    /// From this pen position to the next.
    pub(crate) advance: f32,
}

/// The fonts, and the characters drawn so far: digits and some letters in few sizes.
#[derive(Debug)]
pub(crate) struct Fonts {
    regular: FontRef<'static>,
    medium: FontRef<'static>,
    drawn: BTreeMap<(Weight, u16, char), Glyph>,
}

impl Fonts {
    #[expect(clippy::expect_used, reason = "both files are part of the program")]
    pub(crate) fn new() -> Self {
        let load = |bytes| FontRef::try_from_slice(bytes).expect("a font that every test loads");
        Self {
            regular: load(include_bytes!("../assets/Roboto-Regular.ttf")),
            medium: load(include_bytes!("../assets/Roboto-Medium.ttf")),
            drawn: BTreeMap::new(),
        }
    }

    /// Width of a text in pixels.
    pub(crate) fn width(&mut self, text: &str, weight: Weight, size: u16) -> f32 {
        let advance = |c| self.glyph(c, weight, size).advance;
        text.chars().map(advance).sum()
    }

    pub(crate) fn glyph(&mut self, c: char, weight: Weight, size: u16) -> &Glyph {
        let font = match weight {
            Weight::Regular => &self.regular,
            Weight::Medium => &self.medium,
        };
        self.drawn
            .entry((weight, size, c))
            .or_insert_with(|| draw(font, c, size))
    }
}

fn draw(font: &FontRef<'_>, c: char, size: u16) -> Glyph {
    let scale = PxScale::from(f32::from(size));
    let id = font.glyph_id(c);
    let mut out = Glyph {
        advance: font.as_scaled(scale).h_advance(id),
        ..Glyph::default()
    };
    if let Some(outline) = font.outline_glyph(id.with_scale(scale)) {
        let bounds = outline.px_bounds();
        (out.left, out.top) = (bounds.min.x as i32, bounds.min.y as i32);
        out.width = bounds.width().ceil() as usize;
        out.coverage = vec![0.0; out.width * bounds.height().ceil() as usize];
        let (width, coverage) = (out.width, &mut out.coverage);
        outline.draw(|x, y, c| {
            if let Some(pixel) = coverage.get_mut(y as usize * width + x as usize) {
                *pixel = c;
            }
        });
    }
    out
}
