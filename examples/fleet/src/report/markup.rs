//! HTML and SVG, balanced and escaped by construction.

use std::fmt::{Display, Write as _};

/// Attributes of an element.
pub(crate) type Attributes<'a> = &'a [(&'a str, &'a dyn Display)];

/// A document that grows. Text and attribute values are escaped, elements close themselves.
#[derive(Debug, Default)]
pub(crate) struct Markup(String);

impl Markup {
    /// An element and what `inside` puts into it.
    pub(crate) fn element(
        &mut self,
        tag: &str,
        attributes: Attributes<'_>,
        inside: impl FnOnce(&mut Self),
    ) {
        self.tag(tag, attributes);
        self.0.push('>');
        inside(self);
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push_str(">\n");
    }

    /// An element with text only.
    pub(crate) fn line(&mut self, tag: &str, attributes: Attributes<'_>, text: impl Display) {
        self.element(tag, attributes, |m| m.text(text));
    }

    /// An element that has no inside.
    pub(crate) fn empty(&mut self, tag: &str, attributes: Attributes<'_>) {
        self.tag(tag, attributes);
        self.0.push_str("/>\n");
    }

    pub(crate) fn text(&mut self, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
    }

    /// Style sheets and scripts of this program: not escaped.
    pub(crate) fn own(&mut self, text: &'static str) {
        self.0.push_str(text);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn tag(&mut self, tag: &str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
    }
}

struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let mut m = Markup::default();
        m.element("p", &[("title", &"a\"><b")], |m| {
            m.text("</p><script>alert('&')</script>");
        });
        m.empty("img", &[]);
        assert_eq!(
            m.finish(),
            "<p title=\"a&quot;&gt;&lt;b\">&lt;/p&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>\n<img/>\n"
        );
    }
}
