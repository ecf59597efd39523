//! Reports for people: on the screen, and as Markdown.

use std::fmt::Write as _;

use super::report::{Metric, Ratio, Report, RowReport};
use crate::units::{count, megabytes};

/// Where a Markdown file has the table.
const BEGIN: &str = "<!-- bench-compare: begin -->";
const END: &str = "<!-- bench-compare: end -->";

/// A report as plain text.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("\n{}\n", setting(report));
    for row in &report.rows {
        let theirs = row.theirs.as_ref().map_or("", |theirs| theirs.program);
        let _ = write!(text, "\n{}: {}\n", row.name, row.title);
        let header = format!("  {:<14}{:>16}{theirs:>16}", "", row.ours.program);
        let _ = writeln!(text, "{}", header.trim_end());
        for line in lines(row) {
            let line = format!(
                "  {:<14}{:>16}{:>16}{:>8}  {}",
                line[0], line[1], line[2], line[3], line[4]
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

/// A report as Markdown, between marks by which it is found again.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = format!("{BEGIN}\n{}\n", setting(report).replace('\n', "  \n"));
    text.push_str("\n| row | | ours | reference | ratio | target |\n|---|---|--:|--:|--:|---|\n");
    for row in &report.rows {
        for (position, line) in lines(row).into_iter().enumerate() {
            let name = if position == 0 {
                format!("**{}**: {}", row.name, row.title)
            } else {
                String::new()
            };
            let [metric, ours, theirs, ratio, target] = line;
            let _ = writeln!(
                text,
                "| {name} | {metric} | {ours} | {theirs} | {ratio} | {target} |"
            );
        }
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// A file with the table in place of an older one, or else at its end.
pub(super) fn placed(old: &str, table: &str) -> String {
    let around = old
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match around {
        Some((before, after)) => format!("{before}{}{after}", table.trim_end()),
        None if old.is_empty() => table.to_owned(),
        None => format!("{}\n\n{table}", old.trim_end()),
    }
}

/// When, where and what, in three lines.
fn setting(report: &Report) -> String {
    let (machine, versions) = (&report.machine, &report.versions);
    let (against, how) = match &versions.mongodump {
        Some(version) => (
            format!(" against mongodump and mongorestore {version}"),
            match (report.runs, report.cold) {
                (1, true) => "one run".to_owned(),
                (1, false) => "one run after one to warm up".to_owned(),
                (runs, true) => format!("medians of {runs} runs in turn"),
                (runs, false) => format!("medians of {runs} runs in turn after one to warm up"),
            },
        ),
        None => (String::new(), "our side alone".to_owned()),
    };
    let data = match report.data.documents {
        0 => String::new(),
        documents => format!(
            "{} documents, {}; ",
            count(documents),
            megabytes(report.data.bytes)
        ),
    };
    format!(
        "{}: {data}{how}.\n\
         rdump {}{against}, mongod {}, rustc {}.\n\
         {}, {} cores, {} of memory, Linux {}, {}.",
        report.date,
        versions.rdump,
        versions.mongod,
        versions.rustc,
        machine.processor,
        machine.cores,
        megabytes(machine.memory_bytes),
        machine.kernel,
        machine.file_system,
    )
}

/// The lines of a row: metric, ours, theirs, ratio, target.
fn lines(row: &RowReport) -> Vec<[String; 5]> {
    let line = |metric: Metric| {
        let ours = row.ours.median.of(metric)?;
        let theirs = row
            .theirs
            .as_ref()
            .and_then(|theirs| theirs.median.of(metric));
        let ratio = row.ratios.iter().find(|ratio| ratio.metric == metric);
        Some([
            metric.name().to_owned(),
            metric.show(ours),
            theirs.map(|theirs| metric.show(theirs)).unwrap_or_default(),
            ratio
                .map(|ratio| format!("{:.2}", ratio.ratio))
                .unwrap_or_default(),
            ratio.map(verdict).unwrap_or_default(),
        ])
    };
    Metric::ALL.into_iter().filter_map(line).collect()
}

fn verdict(ratio: &Ratio) -> String {
    match (ratio.target, ratio.met) {
        (Some(target), Some(met)) => {
            format!("≤ {target:.2} {}", if met { "met" } else { "missed" })
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_old_one() {
        let old = format!("# Performance\n\n{BEGIN}\nold\n{END}\n\nMore.\n");
        let new = format!("{BEGIN}\nnew\n{END}\n");
        let placed_in_old = placed(&old, &new);
        assert_eq!(
            placed_in_old,
            format!("# Performance\n\n{BEGIN}\nnew\n{END}\n\nMore.\n")
        );
        assert_eq!(placed("", &new), new);
        assert_eq!(
            placed("# Performance\n", &new),
            format!("# Performance\n\n{new}")
        );
    }
}
