//! Tables for people: columns as wide as their widest cell, and numbers as they are read.

use crate::console::thousands;

/// Between columns.
const GAP: &str = "  ";

/// Lines of cells, and lines that run across all columns.
#[derive(Default)]
pub(crate) struct Columns(Vec<Line>);

enum Line {
    Cells(Vec<String>),
    Across(String),
}

impl Columns {
    /// With a heading.
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self(vec![Line::Cells(heading.map(str::to_owned).into())])
    }

    pub(crate) fn add(&mut self, cells: impl Into<Vec<String>>) {
        self.0.push(Line::Cells(cells.into()));
    }

    /// A line of its own.
    pub(crate) fn across(&mut self, text: String) {
        self.0.push(Line::Across(text));
    }

    /// The lines; the last column is as long as it is.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut widths: Vec<usize> = Vec::new();
        for line in &self.0 {
            let Line::Cells(cells) = line else { continue };
            for (column, cell) in cells.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let line = |line: &Line| match line {
            Line::Across(text) => text.clone(),
            Line::Cells(cells) => {
                let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
                padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
            }
        };
        self.0.iter().map(line).collect()
    }
}

/// `-` for what is not known.
pub(crate) fn number(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), thousands)
}

/// In the largest unit of which there is one.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64, "B");
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    format!("{value:.1} {unit}")
}

/// A duration in the two largest units at most.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{:.1}s", seconds.max(0.0)),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::new(["A", "BB"]);
        columns.add(["übergroß".to_owned(), "1".to_owned()]);
        columns.across("a line that is longer than all columns".to_owned());
        columns.add(["x".to_owned(), "22".to_owned()]);
        let expect =
            ["A         BB", "übergroß  1", "a line that is longer than all columns", "x         22"];
        assert_eq!(columns.lines(), expect);
    }

    #[test]
    fn amounts_read_well() {
        let check = |count, text: &str| assert_eq!(bytes(count), text);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1536, "1.5 KiB");
        check(3 << 20, "3.0 MiB");
        check(u64::MAX, "16777216.0 TiB");
        let check = |time, text: &str| assert_eq!(seconds(time), text);
        check(-1.0, "0.0s");
        check(3.25, "3.2s");
        check(59.9, "59s");
        check(61.0, "1m01s");
        check(7_260.0, "2h01m");
        check(90_000.0, "1d01h");
    }
}
