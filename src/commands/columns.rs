//! Tables for people: cells padded to the widest of their column. It does not know how wide a terminal is.

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows as lines, columns two blanks apart, without trailing blanks. Columns without an alignment stand left.
pub(super) fn aligned<R: AsRef<[String]>>(rows: &[R], alignment: &[Align]) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.as_ref().iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            match alignment.get(column).copied().unwrap_or(Align::Left) {
                Align::Left => format!("{cell:width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_to_the_widest_of_their_column() {
        let rows =
            [["name", "rows", "note"], ["é", "1", ""], ["longer", "12345", "x"]].map(|row| row.map(str::to_owned));
        let expected = "name     rows  note\né           1\nlonger  12345  x\n";
        assert_eq!(aligned(&rows, &[Align::Left, Align::Right]), expected);
    }
}
