//! Rows as the files that people open.

use jiff::Timestamp;
use mcp_runtime::ToolResult;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet};
use serde_json::Value as Json;

use super::templates::{Kind, Template};
use crate::platform::db::instant;

/// An Excel file: the rows, and a sheet that says what they are.
pub(super) fn excel(
    template: &Template,
    rows: &[Json],
    about: &[(&str, String)],
    now: Timestamp,
) -> ToolResult<Vec<u8>> {
    let mut book = Workbook::new();
    // The library would ask the system for the time.
    let created = ExcelDateTime::from_timestamp(now.as_second())?;
    book.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let head = Format::new().set_bold();
    let sheet = book.add_worksheet().set_name("Data")?;
    for (column, (title, ..)) in (0..).zip(template.columns) {
        sheet.write_string_with_format(0, column, *title, &head)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    for (line, row) in (1..).zip(rows) {
        for (column, (_, name, kind)) in (0..).zip(template.columns) {
            put(sheet, (line, column), &row[*name], *kind)?;
        }
    }
    let sheet = book.add_worksheet().set_name("Metadata")?;
    for (line, (name, value)) in (0..).zip(about) {
        sheet.write_string_with_format(line, 0, *name, &head)?;
        sheet.write_string(line, 1, value)?;
    }
    Ok(book.save_to_buffer()?)
}

fn put(
    sheet: &mut Worksheet,
    (line, column): (u32, u16),
    value: &Json,
    kind: Kind,
) -> ToolResult<()> {
    match (value, kind) {
        (Json::Null, _) => {}
        (Json::Number(number), Kind::Money) => {
            let amount = number.as_i64().unwrap_or_default() as f64 / 100.0;
            let format = Format::new().set_num_format("#,##0.00");
            sheet.write_number_with_format(line, column, amount, &format)?;
        }
        // Always as text: nothing that somebody wrote is a formula.
        _ => {
            sheet.write_string(line, column, shown(value, kind))?;
        }
    }
    Ok(())
}

/// A CSV file (RFC 4180, with a header).
pub(super) fn csv(template: &Template, rows: &[Json]) -> Vec<u8> {
    let mut text = String::new();
    let heads: Vec<String> = template
        .columns
        .iter()
        .map(|(title, ..)| cell(title))
        .collect();
    text.push_str(&heads.join(","));
    text.push_str("\r\n");
    for row in rows {
        let cells = template.columns.iter().map(|(_, name, kind)| {
            let value = shown(&row[*name], *kind);
            if *kind == Kind::Money {
                value
            } else {
                cell(&harmless(value))
            }
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// What a formula may begin with: some programs skip what is no letter, and some take the
/// full-width signs for the others.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n'];

/// Spreadsheets run what begins like a formula; with a quotation mark before it they show it.
fn harmless(value: String) -> String {
    if value.starts_with(FORMULA) {
        format!("'{value}")
    } else {
        value
    }
}

fn cell(value: &str) -> String {
    if value.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

fn shown(value: &Json, kind: Kind) -> String {
    match (value, kind) {
        (Json::Null, _) => String::new(),
        (Json::String(text), _) => text.clone(),
        (Json::Number(number), Kind::Money) => money(number.as_i64().unwrap_or_default()),
        (Json::Number(number), Kind::Instant) => {
            instant(number.as_i64().unwrap_or_default()).to_string()
        }
        (other, _) => other.to_string(),
    }
}

/// Minor units as people write them.
pub(super) fn money(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}
