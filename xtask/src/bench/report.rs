//! What a benchmark of this crate found: a table like those of `presence-bench`, printed and written as JSON, with the facts of
//! the machine.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::process::probe;
use crate::workspace::Workspace;

pub(super) struct Report {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
    results: Map<String, Value>,
    machine: Value,
}

impl Report {
    /// Before anything is measured, so that the machine's load is that of others.
    pub(super) fn new(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self { name, columns, rows: Vec::new(), results: Map::new(), machine: machine() }
    }

    /// A row has a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<Value>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        let words: Vec<String> = self
            .columns
            .iter()
            .zip(&cells)
            .map(|(column, cell)| format!("{column}: {}", text(cell)))
            .collect();
        println!("bench: {}", words.join(", "));
        self.rows.push(cells);
    }

    pub(super) fn result(&mut self, name: &str, value: impl Into<Value>) {
        self.results.insert(name.to_owned(), value.into());
    }

    /// Prints the table and writes `target/bench/NAME.json`.
    pub(super) fn finish(self, workspace: &Workspace) -> Result<()> {
        println!("\n{}", self.table());
        for (name, value) in &self.results {
            println!("{name}: {}", text(value));
        }
        let named = |row: &Vec<Value>| -> Map<String, Value> {
            self.columns.iter().map(ToString::to_string).zip(row.iter().cloned()).collect()
        };
        let document = json!({
            "benchmark": self.name,
            "machine": self.machine,
            "results": self.results,
            "rows": self.rows.iter().map(named).collect::<Vec<_>>(),
        });
        let folder = workspace.target().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.name));
        fs::write(&path, format!("{document:#}\n")).with_context(|| format!("write {}", path.display()))?;
        println!("\nmachine: {}\nwritten: {}", self.machine, path.display());
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

/// Three significant digits are all that a measurement here is worth.
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

/// Of the last minute.
pub(super) fn load() -> Value {
    json!(fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next())
}

fn machine() -> Value {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let said = |program: &str, arg: &[&str]| {
        probe(Command::new(program).args(arg)).map(|said| said.trim().to_owned())
    };
    json!({
        "cpus": std::thread::available_parallelism().map(usize::from).ok(),
        "cpu_model": field("/proc/cpuinfo", "model name"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "load_average": load(),
        "rustc": said("rustc", &["-V"]),
        "commit": said("git", &["describe", "--always", "--dirty"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_markdown_with_the_digits_that_mean_something() {
        let mut report = Report::new("x", &["what", "n"]);
        report.row(vec![json!("a"), json!(1234.5)]);
        report.row(vec![json!("bcdef"), Value::Null]);
        report.row(vec![json!("c"), json!(0.012_34)]);
        let wanted = "|  what |      n |\n|------:|-------:|\n|     a |   1234 |\n| bcdef |      - |\n|     c | 0.0123 |";
        assert_eq!(report.table(), wanted);
    }
}
