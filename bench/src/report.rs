//! What a benchmark found: one table, printed for people and written as JSON, with the facts of the machine.

use crate::machine;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

pub(crate) struct Report {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
    /// The figures that goals are about.
    results: Map<String, Value>,
    machine: Value,
    services: Value,
}

impl Report {
    /// Before anything is measured, so that the machine's load is that of others.
    pub(crate) fn new(name: &'static str, columns: &'static [&'static str], services: Value) -> Self {
        Self { name, columns, rows: vec![], results: Map::new(), machine: machine::facts(), services }
    }

    /// A row has a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Value>) {
        let cells: Vec<Value> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        let words: Vec<String> = self
            .columns
            .iter()
            .zip(&cells)
            .map(|(column, cell)| format!("{column}: {}", text(cell)))
            .collect();
        crate::say(&words.join(", "));
        self.rows.push(cells);
    }

    pub(crate) fn result(&mut self, name: &str, value: impl Into<Value>) {
        self.results.insert(name.into(), value.into());
    }

    /// Prints the table and writes `target/bench/NAME.json`.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{}", self.table());
        for (name, value) in &self.results {
            println!("{name}: {}", text(value));
        }
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| self.columns.iter().map(ToString::to_string).zip(row.iter().cloned()).collect())
            .collect();
        let document = json!({
            "benchmark": self.name,
            "machine": self.machine,
            "services": self.services,
            "results": self.results,
            "rows": rows,
        });
        let folder = Path::new("target/bench");
        fs::create_dir_all(folder).context("make target/bench")?;
        let path = folder.join(format!("{}.json", self.name));
        fs::write(&path, format!("{document:#}\n")).with_context(|| format!("write {}", path.display()))?;
        println!(
            "\nmachine: {}\nservices: {}\nwritten: {}",
            document["machine"],
            document["services"],
            path.display()
        );
        Ok(())
    }

    fn table(&self) -> String {
        let head = self.columns.iter().map(ToString::to_string).collect();
        let body = self.rows.iter().map(|row| row.iter().map(text).collect());
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:>width$} |"));
            format!("|{}", cells.collect::<String>())
        };
        let rule: String = widths.iter().flat_map(|width| ["-".repeat(width + 1), ":|".into()]).collect();
        let mut text: Vec<String> = lines.iter().map(line).collect();
        text.insert(1, format!("|{rule}"));
        text.join("\n")
    }
}

/// A cell as people read it: three significant digits are all that a measurement here is worth.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or_default();
            match number.abs() {
                0.0 => "0".into(),
                ..0.1 => format!("{number:.4}"),
                0.1..10.0 => format!("{number:.2}"),
                10.0..1000.0 => format!("{number:.1}"),
                _ => format!("{number:.0}"),
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_markdown() {
        let mut report = Report::new("x", &["what", "n"], Value::Null);
        report.row([json!("a"), json!(1234.5)]);
        report.row([json!("bcdef"), Value::Null]);
        assert_eq!(report.table(), "|  what |    n |\n|------:|-----:|\n|     a | 1234 |\n| bcdef |    - |");
    }

    #[test]
    fn figures_keep_the_digits_that_mean_something() {
        let shown: Vec<String> = [0.0, 0.012_34, 1.234, 56.78, 12_345.6].map(|n| text(&json!(n))).into();
        assert_eq!(shown, ["0", "0.0123", "1.23", "56.8", "12346"]);
    }
}
