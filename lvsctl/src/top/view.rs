//! The picture: a heading, the rows that fit, a line of help.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::rows::{Row, Sort, Subject};
use super::{Rates, Top};

/// Heading, width, and what a row has there.
type Column = (&'static str, usize, fn(&Row) -> String);

/// The most important ones first: narrow terminals show those.
const COLUMNS: [Column; 10] = [
    ("how", 7, |row| row.how.clone()),
    ("weight", 7, |row| row.weight.map_or_else(String::new, |weight| weight.to_string())),
    ("active", 7, |row| row.active.to_string()),
    ("inactive", 8, |row| row.inactive.to_string()),
    ("conn/s", 7, |row| rate(row, |rates| rates.connections)),
    ("B/s in", 7, |row| rate(row, |rates| rates.bytes_in)),
    ("B/s out", 7, |row| rate(row, |rates| rates.bytes_out)),
    ("pkt/s in", 8, |row| rate(row, |rates| rates.packets_in)),
    ("pkt/s out", 9, |row| rate(row, |rates| rates.packets_out)),
    ("persist", 7, |row| row.persistent.to_string()),
];

const NARROWEST_NAME: usize = 16;

fn rate(row: &Row, which: fn(&Rates) -> f64) -> String {
    row.rates.as_ref().map_or_else(|| "-".to_owned(), |rates| scaled(which(rates)))
}

/// Three figures and a power of a thousand: `0`, `4.2`, `123`, `1.2k`, `45M`.
fn scaled(value: f64) -> String {
    let mut value = value;
    let mut unit = "";
    for larger in ["k", "M", "G", "T"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if value > 0.0 && value < 9.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// The columns that fit beside the names, and the width that is left for those.
fn fitting(width: usize, names: usize) -> (usize, usize) {
    let mut left = width;
    let wanted = names.clamp(NARROWEST_NAME, 48);
    let count = COLUMNS
        .iter()
        .take_while(|(_, width, _)| {
            let fits = left.saturating_sub(width + 1) >= wanted;
            left -= if fits { width + 1 } else { 0 };
            fits
        })
        .count();
    (count, left)
}

fn line(row: &Row, columns: usize, name_width: usize) -> String {
    let name: String = row.name().chars().take(name_width).collect();
    let mut text = format!("{name:<name_width$}");
    for (_, width, cell) in &COLUMNS[..columns] {
        text += &format!(" {:>width$}", cell(row));
    }
    text
}

fn heading(columns: usize, name_width: usize) -> String {
    let mut text = format!("{:<name_width$}", "service, server");
    for (name, width, _) in &COLUMNS[..columns] {
        text += &format!(" {name:>width$}");
    }
    text
}

fn longest_name(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.name().len()).max().unwrap_or_default()
}

/// All rows with all columns, for paper and pipes.
#[must_use]
pub fn to_text(top: &Top) -> String {
    let rows = top.rows();
    let width = longest_name(&rows).max(NARROWEST_NAME);
    let lines = rows.iter().map(|row| line(row, COLUMNS.len(), width));
    std::iter::once(heading(COLUMNS.len(), width)).chain(lines).map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Draws the picture; `colours` is what `NO_COLOR` takes away.
pub fn draw(top: &mut Top, frame: &mut Frame<'_>, colours: bool) {
    let [title, head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    let rows = top.rows();
    let (columns, name_width) = fitting(usize::from(body.width), longest_name(&rows));
    let most_above = rows.len().saturating_sub(usize::from(body.height));
    top.first_row = top.first_row.min(most_above);

    frame.render_widget(Paragraph::new(summary(top)).bold(), title);
    frame.render_widget(Paragraph::new(heading(columns, name_width)).reversed(), head);
    let shown = rows.iter().skip(top.first_row).take(usize::from(body.height));
    let lines: Vec<Line<'_>> =
        shown.map(|row| Line::styled(line(row, columns, name_width), style(row, colours))).collect();
    if lines.is_empty() {
        let why = if top.filter.is_empty() { "no virtual services" } else { "nothing matches the filter" };
        frame.render_widget(Paragraph::new(why), body);
    } else {
        frame.render_widget(Paragraph::new(lines), body);
    }
    frame.render_widget(Paragraph::new(bottom(top)), foot);
    if top.help {
        help(frame, body);
    }
}

fn style(row: &Row, colours: bool) -> Style {
    match (row.subject, row.weight) {
        (Subject::Service(_), _) => Style::new().bold(),
        (Subject::Server(_), Some(0)) if colours => Style::new().fg(Color::Yellow),
        (Subject::Server(_), Some(0)) => Style::new().dim(),
        (Subject::Server(_), _) => Style::new(),
    }
}

fn summary(top: &Top) -> String {
    let servers: usize = top.services.iter().map(|service| service.destinations.len()).sum();
    let whole = top.services.iter().filter_map(|service| top.tracks.rates(&(service.key, None)));
    let (connections, bytes_in, bytes_out) = whole.fold((0.0, 0.0, 0.0), |sum, rates| {
        (sum.0 + rates.connections, sum.1 + rates.bytes_in, sum.2 + rates.bytes_out)
    });
    format!(
        "{} services, {servers} servers: {} conn/s, {} B/s in, {} B/s out",
        top.services.len(),
        scaled(connections),
        scaled(bytes_in),
        scaled(bytes_out)
    )
}

fn bottom(top: &Top) -> Line<'static> {
    if top.typing {
        return Line::from(vec![Span::raw("filter: "), Span::raw(top.filter.clone()), Span::raw("_").bold()]);
    }
    if let Some(trouble) = &top.trouble {
        return Line::from(format!("cannot look: {trouble}").reversed());
    }
    let mut text = String::from("q quit  h help  / filter  space pause");
    text += &format!("  sorted by {}{}", top.sort.name(), if top.reverse { ", reversed" } else { "" });
    if !top.filter.is_empty() {
        text += &format!("  filter \"{}\"", top.filter);
    }
    if top.paused {
        text += "  PAUSED";
    }
    Line::from(text)
}

fn help(frame: &mut Frame<'_>, body: Rect) {
    let mut lines: Vec<String> =
        Sort::ALL.iter().map(|(letter, _, name)| format!("{letter}  sort by {name}")).collect();
    lines.extend(
        [
            "r  the other way round",
            "/  show what contains a text; Esc shows all",
            "space  pause",
            "arrows, PgUp, PgDn  move",
            "q  quit",
        ]
        .map(str::to_owned),
    );
    let width = 46.min(body.width);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(body.height);
    let area = Rect { x: body.x + (body.width - width) / 2, y: body.y + (body.height - height) / 2, width, height };
    frame.render_widget(Clear, area);
    let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_figures_at_most() {
        let shown = [0.0, 0.04, 4.24, 9.96, 123.4, 999.4, 999.6, 1234.0, 45_600_000.0, 9e15].map(scaled);
        assert_eq!(shown, ["0", "0.0", "4.2", "10", "123", "999", "1.0k", "1.2k", "46M", "9000T"]);
    }

    #[test]
    fn columns_give_way_to_names() {
        assert_eq!(fitting(10, 40), (0, 10));
        let (columns, names) = fitting(80, 24);
        assert!((4..COLUMNS.len()).contains(&columns) && names >= 24, "{columns} {names}");
        assert_eq!(fitting(200, 24).0, COLUMNS.len());
    }
}
