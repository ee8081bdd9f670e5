//! Columns that align, also with characters of double width.

use comfy_table::{ContentArrangement, presets};

/// A table of two or more columns, drawn with spaces only so that it can be read on any console.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
}

impl Table {
    /// A table with a heading for each column.
    pub fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
        Self { table }
    }

    /// Adds a row. Cells must be escaped already.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The lines, indented by two spaces, without trailing spaces.
    pub fn render(&self) -> String {
        self.table.lines().map(|line| format!(" {}\n", line.trim_end())).collect()
    }
}
