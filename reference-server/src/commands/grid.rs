//! Rows of texts, as people and documents show them.

/// Columns as wide as their widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let lengths = rows.iter().filter_map(|row| row.get(at));
        lengths.map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The first row is the head; what is in the first column is code.
pub(super) fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if at == 0 {
            lines.push(line(row));
            lines.push(format!("|{}", "---|".repeat(row.len())));
            continue;
        }
        let mut row = row.clone();
        if let Some(first) = row.first_mut() {
            *first = format!("`{first}`");
        }
        lines.push(line(&row));
    }
    lines.join("\n")
}
