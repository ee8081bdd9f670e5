//! Rows for a spreadsheet.

use super::escape_controls;

/// One row as RFC 4180 wants it: every cell in quotes, ended by CRLF. Control characters become visible escapes, and a
/// cell that a spreadsheet would take for a formula begins with an apostrophe.
pub fn csv_row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    cells.join(",") + "\r\n"
}

fn cell(text: &str) -> String {
    let formula = text.trim_start().starts_with(['=', '+', '-', '@']);
    let text = escape_controls(text).replace('\n', "\\n").replace('"', "\"\"");
    format!("\"{}{text}\"", if formula { "'" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::csv_row;

    #[test]
    fn nothing_in_a_cell_ends_it_or_is_calculated() {
        assert_eq!(csv_row(["a", "b,\"c\"", ""]), "\"a\",\"b,\"\"c\"\"\",\"\"\r\n");
        for formula in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", " =1"] {
            assert!(csv_row([formula]).starts_with("\"'"), "{formula:?}");
        }
        assert_eq!(csv_row(["a\r\nb\u{1b}[2J\u{202e}"]), "\"a\\u000d\\nb\\u001b[2J\\u202e\"\r\n");
        assert_eq!(csv_row(["2026-03-01"]), "\"2026-03-01\"\r\n");
    }
}
