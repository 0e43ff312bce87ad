//! Rows on their way out, in each of the formats.

use std::{borrow::Cow, collections::BTreeSet, io::Write};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::{
    format::{Cells, Format, Sink},
    parquet::Parquet,
    value::{Column, quoted},
};

/// Characters of a value in a table: documents are longer than a screen.
const CELL_CHARS_MAX: usize = 80;

/// What is written, and what of.
pub(super) struct Sheet {
    columns: Vec<Column>,
    sink: Box<dyn Sink>,
}

impl Sheet {
    pub(super) fn new(
        format: Format,
        columns: Vec<Column>,
        mut out: Box<dyn Write + Send>,
    ) -> Result<Self> {
        let sink: Box<dyn Sink> = match format {
            Format::Table => {
                let mut table = Table::new();
                table.load_preset(UTF8_FULL_CONDENSED);
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_header(columns.iter().map(|column| &column.name));
                for (column, wanted) in table.column_iter_mut().zip(&columns) {
                    if wanted.kind.is_number() {
                        column.set_cell_alignment(CellAlignment::Right);
                    }
                }
                Box::new(ForPeople { out, table })
            }
            Format::Csv => {
                let names = columns.iter().map(|column| field(&column.name));
                writeln!(out, "{}", names.collect::<Vec<_>>().join(","))?;
                Box::new(Csv(out))
            }
            Format::Json => Box::new(Json { out, is_first: true }),
            Format::Parquet => Box::new(Parquet::new(out, columns.len())),
        };
        Ok(Self { columns, sink })
    }

    pub(super) fn row(&mut self, cells: &Cells) -> Result<()> {
        self.sink.row(&self.columns, cells).context("writing a row")
    }

    pub(super) fn end(&mut self) -> Result<()> {
        self.sink.end(&self.columns).context("writing the end")
    }
}

/// The first name that two columns have.
pub(super) fn twice(columns: &[Column]) -> Option<&str> {
    let mut names = BTreeSet::new();
    columns.iter().map(|column| &*column.name).find(|name| !names.insert(*name))
}

struct ForPeople {
    out: Box<dyn Write + Send>,
    table: Table,
}

impl Sink for ForPeople {
    fn row(&mut self, columns: &[Column], cells: &Cells) -> Result<()> {
        let shown = columns.iter().zip(cells).map(|(column, cell)| {
            let text = cell.as_deref().map(|text| column.kind.plain(text)).unwrap_or_default();
            match text.char_indices().nth(CELL_CHARS_MAX) {
                Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
                None => text.into_owned(),
            }
        });
        self.table.add_row(shown);
        Ok(())
    }

    fn end(&mut self, _: &[Column]) -> Result<()> {
        writeln!(self.out, "{}", self.table)?;
        Ok(self.out.flush()?)
    }
}

struct Csv(Box<dyn Write + Send>);

impl Sink for Csv {
    fn row(&mut self, columns: &[Column], cells: &Cells) -> Result<()> {
        let fields = columns.iter().zip(cells).map(|(column, cell)| match cell.as_deref() {
            // Nothing is null, so an empty text is in quotes.
            Some("") => "\"\"".to_owned(),
            Some(text) => field(&column.kind.plain(text)).into_owned(),
            None => String::new(),
        });
        Ok(writeln!(self.0, "{}", fields.collect::<Vec<_>>().join(","))?)
    }

    fn end(&mut self, _: &[Column]) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// As RFC 4180 has it.
fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

struct Json {
    out: Box<dyn Write + Send>,
    is_first: bool,
}

impl Sink for Json {
    fn row(&mut self, columns: &[Column], cells: &Cells) -> Result<()> {
        let members = columns.iter().zip(cells).map(|(column, cell)| {
            let value =
                cell.as_deref().map_or_else(|| "null".to_owned(), |it| column.kind.json(it));
            format!("{}: {value}", quoted(&column.name))
        });
        let members = members.collect::<Vec<_>>().join(", ");
        let before = if self.is_first { "[\n" } else { ",\n" };
        self.is_first = false;
        Ok(write!(self.out, "{before}{{{members}}}")?)
    }

    fn end(&mut self, _: &[Column]) -> Result<()> {
        let end = if self.is_first { "[]\n" } else { "\n]\n" };
        self.out.write_all(end.as_bytes())?;
        Ok(self.out.flush()?)
    }
}
