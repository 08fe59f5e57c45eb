//! A tracker's screen as a PNG picture.

use std::io::{self, Write};

/// Writes `pixels` (XRGB8888, rows of the screen's width) as an RGB picture.
pub(crate) fn write_png(to: impl Write, pixels: &[u32]) -> io::Result<()> {
    let (width, height) = (workout_ui::WIDTH as u32, workout_ui::HEIGHT as u32);
    let rgb: Vec<u8> = pixels
        .iter()
        .flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8])
        .collect();
    let mut encoder = png::Encoder::new(to, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&rgb).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)
}
