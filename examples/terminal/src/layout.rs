//! Text in 80 columns.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that every terminal has.
pub const COLUMNS: usize = 80;

/// Columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The text, or as much of its beginning as fits, with an ellipsis.
pub fn fit(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// The text in lines of at most `most` columns, broken between words; each line but the first begins
/// with `indent` spaces. A word that is longer than a line is broken.
pub fn wrap(text: &str, most: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let next_line = |out: &mut String| {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n{:indent$}", "");
        indent
    };
    for word in text.split_whitespace() {
        if used > 0 && used + 1 + columns(word) > most {
            used = next_line(&mut out);
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > most && used > indent {
                used = next_line(&mut out);
            }
            out.push(c);
            used += wide;
        }
    }
    out
}

/// A number of things: `1 record`, `2 records`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    let things = if count == 1 { one } else { many };
    format!("{count} {things}")
}

/// A line of blocks, one a value, as high as the value stands between the smallest and the largest;
/// a space where there is none.
pub fn spark(values: &[Option<f64>]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let present = || values.iter().flatten().copied();
    let (least, most) = (
        present().fold(f64::INFINITY, f64::min),
        present().fold(f64::NEG_INFINITY, f64::max),
    );
    let block = |value: f64| {
        let part = (value - least) / (most - least);
        // A value that never changes stands in the middle.
        let part = if part.is_finite() { part } else { 0.5 };
        BLOCKS[(part * 7.99) as usize & 7]
    };
    let blocks = values.iter().map(|value| value.map_or(' ', block));
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_says_so() {
        assert_eq!(fit("ride", 4), "ride");
        assert_eq!(fit("a long ride", 6), "a lon…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("x", 0), "…");
    }

    #[test]
    fn no_line_is_longer_than_asked_and_no_word_is_lost() {
        let text = "one two three fourfivesixseveneightnine ten";
        let wrapped = wrap(text, 10, 2);
        assert!(wrapped.lines().all(|line| columns(line) <= 10), "{wrapped}");
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeeze(&wrapped), squeeze(text));
        assert_eq!(wrap("short", 10, 2), "short");
        assert_eq!(wrap("aaaa bbbb cccc", 9, 0), "aaaa bbbb\ncccc");
    }

    #[test]
    fn one_thing_is_not_many() {
        let records = |count| counted(count, "record", "records");
        assert_eq!(
            [0, 1, 2].map(records),
            ["0 records", "1 record", "2 records"]
        );
    }

    #[test]
    fn a_spark_goes_from_the_smallest_to_the_largest() {
        assert_eq!(spark(&[Some(1.0), None, Some(8.0)]), "▁ █");
        assert_eq!(spark(&[Some(5.0), Some(5.0)]), "▄▄");
        assert_eq!(spark(&[None]), " ");
    }
}
