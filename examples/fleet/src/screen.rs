//! A tracker's screen as a PNG file.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// Writes `pixels` (XRGB8888, rows of `width`) as an RGB picture.
pub(crate) fn write_png(path: &Path, width: u32, height: u32, pixels: &[u32]) -> io::Result<()> {
    let rgb: Vec<u8> = pixels
        .iter()
        .flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8])
        .collect();
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&rgb).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)
}
