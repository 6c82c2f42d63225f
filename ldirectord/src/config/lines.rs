//! First step: text to lines that know whether they belong to a section (spec chapter 2).

use super::span::Span;

/// A line that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// A global directive, from column 1.
    Global(Span<'a>),
    /// `virtual` or `virtual6`: a section begins; the value behind the `=`.
    Open {
        /// The directive.
        name: Span<'a>,
        /// The address.
        value: Span<'a>,
    },
    /// A directive of the section, without indent and comment.
    Section(Span<'a>),
    /// In a section, but indented by less than four blanks.
    Shallow(Span<'a>),
    /// Indented where there is no section, without indent and comment.
    Stray(Span<'a>),
    /// The section is over; the line that the original counts as its end.
    Close(Span<'a>),
}

/// The lines of a file that say something, in order, with a [`Row::Close`] for each [`Row::Open`].
///
/// Blank lines do not end a section, as they do in the original: there, the lines that
/// follow are errors (spec chapter 15, T2). The line that the original would name as the end is kept.
pub fn rows(text: &str) -> Vec<Row<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = Vec::new();
    // Within a section: the blank line that would have ended it, if there was one.
    let mut section: Option<Option<Span<'_>>> = None;
    let mut last = Span::whole(1, "");
    for (index, raw) in text.lines().enumerate() {
        let line = Span::whole(index + 1, raw.trim_end_matches('\r'));
        last = line;
        let content = line.trim();
        if content.is_empty() {
            if let Some(blank) = &mut section {
                // Of several blank lines the first ended the section.
                blank.get_or_insert(line);
            }
            continue;
        }
        if content.text().starts_with('#') {
            continue;
        }
        match (indent(line.text()), &mut section) {
            (0, _) => {
                if let Some(blank) = section.take() {
                    rows.push(Row::Close(blank.unwrap_or(line)));
                }
                match header(line) {
                    Some((name, value)) => {
                        section = Some(None);
                        rows.push(Row::Open { name, value });
                    }
                    None => rows.push(Row::Global(line)),
                }
            }
            (4.., Some(blank)) => {
                *blank = None;
                rows.push(Row::Section(without_comment(line).trim_start()));
            }
            (_, Some(blank)) => {
                *blank = None;
                rows.push(Row::Shallow(without_comment(line).trim_start()));
            }
            (_, None) => rows.push(Row::Stray(without_comment(line).trim_start())),
        }
    }
    if let Some(blank) = section {
        rows.push(Row::Close(blank.unwrap_or(last)));
    }
    rows
}

/// A tab counts as four blanks.
fn indent(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// The name and value of a line that opens a section.
fn header(line: Span<'_>) -> Option<(Span<'_>, Span<'_>)> {
    let (name, value) = line.split_once("=")?;
    let name = name.trim_end();
    matches!(name.text(), "virtual" | "virtual6").then(|| (name, value.trim_start()))
}

/// Cuts at the first `#` that is not within a pair of double quotes (T1).
fn without_comment(line: Span<'_>) -> Span<'_> {
    let text = line.text();
    let mut at = 0;
    while let Some(found) = text[at..].find(['#', '"']) {
        let here = at + found;
        if text.as_bytes()[here] == b'#' {
            return line.of(&text[..here]);
        }
        // An inch sign, or a quote that is never closed, quotes nothing.
        let opens = text[..here].ends_with(['=', ' ', '\t', ',']);
        let closing = if opens { text[here + 1..].find('"') } else { None };
        at = closing.map_or(here + 1, |closing| here + 1 + closing + 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(&'static str, usize, String)> {
        let name = |row: &Row<'_>| match row {
            Row::Global(s) => ("global", s.line, s.text().to_owned()),
            Row::Open { value, .. } => ("open", value.line, value.text().to_owned()),
            Row::Section(s) => ("section", s.line, s.text().to_owned()),
            Row::Shallow(s) => ("shallow", s.line, s.text().to_owned()),
            Row::Stray(s) => ("stray", s.line, s.text().to_owned()),
            Row::Close(s) => ("close", s.line, String::new()),
        };
        rows(text).iter().map(name).collect()
    }

    #[test]
    fn a_tab_or_four_blanks_make_a_section_line_and_three_do_not() {
        let text = "virtual=1:2\n\ta=1\n    b=2\n   c=3\nd=4\n  e=5";
        let expected = [
            ("open", 1, "1:2"),
            ("section", 2, "a=1"),
            ("section", 3, "b=2"),
            ("shallow", 4, "c=3"),
            ("close", 5, ""),
            ("global", 5, "d=4"),
            ("stray", 6, "e=5"),
        ];
        assert_eq!(kinds(text), expected.map(|(k, l, t)| (k, l, t.to_owned())));
    }

    #[test]
    fn comments_do_not_end_a_section_and_neither_do_blank_lines() {
        let text = "virtual = 1:2\n# left\n\n    a=1 # right\n\t\t\n";
        let expected = [("open", 1, "1:2"), ("section", 4, "a=1 "), ("close", 5, "")];
        assert_eq!(kinds(text), expected.map(|(k, l, t)| (k, l, t.to_owned())));
    }

    #[test]
    fn a_section_ends_where_the_original_says_it_does() {
        let closing = |text| kinds(text).iter().find(|k| k.0 == "close").unwrap().1;
        assert_eq!(closing("virtual=1:2"), 1);
        assert_eq!(closing("virtual=1:2\n# end\n"), 2);
        assert_eq!(closing("virtual=1:2\n    a=1\n\n\nb=2"), 3);
        assert_eq!(closing("virtual=1:2\n    a=1\n\n    a=1\nb=2"), 5);
        assert_eq!(closing("virtual=1:2\n    a=1\nvirtual=3:4"), 3);
    }

    #[test]
    fn a_hash_within_quotes_is_no_comment() {
        let cut = |text| without_comment(Span::whole(1, text)).text().to_owned();
        assert_eq!(cut(r#"passwd="a#b" # c"#), r#"passwd="a#b" "#);
        assert_eq!(cut(r#"comment=5" disks # "fast""#), r#"comment=5" disks "#);
        assert_eq!(cut(r#"comment="5 disks # cut"#), r#"comment="5 disks "#);
        assert_eq!(cut("real=192.0.2.1 gate# web1"), "real=192.0.2.1 gate");
        assert_eq!(cut(r#"a="x""#), r#"a="x""#);
    }

    #[test]
    fn dos_line_ends_and_a_byte_order_mark_mean_nothing() {
        let text = "\u{feff}quiescent=yes\r\nvirtual=1:2\r\n\tops=yes\r\n";
        let expected =
            [("global", 1, "quiescent=yes"), ("open", 2, "1:2"), ("section", 3, "ops=yes"), ("close", 3, "")];
        assert_eq!(kinds(text), expected.map(|(k, l, t)| (k, l, t.to_owned())));
    }
}
