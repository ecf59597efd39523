//! The report of a drill as a page for people.

use std::fmt::Write as _;

use jiff::Timestamp;
use rdump::{ComparedNamespace, DrillReport};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;width:100%;margin:1em 0}th,td{text-align:left;vertical-align:top;padding:.3em .6em;border-bottom:1px solid #ddd}\
td.n{text-align:right}.good{color:#176b2c}.bad{color:#a11212}code{word-break:break-all}";

/// The page: one file without anything from elsewhere.
pub(super) fn of(report: &DrillReport) -> String {
    let (class, verdict) = match report.is_good() {
        true => ("good", "The backup can be restored: nothing differs"),
        false => ("bad", "The backup did not come back as it should"),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Restore drill {}</title><style>{STYLE}</style></head><body>\n\
         <h1>Restore drill</h1>\n<p class=\"{class}\"><strong>{verdict}.</strong></p>\n<table>\n",
        escaped(&report.started_at)
    );
    let mut row = |name: &str, value: String| {
        let value = escaped(&value);
        // Writing to a string does not fail.
        let _written = writeln!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
    };
    row("Repository", report.repository.to_string());
    row("Snapshot", report.snapshot.clone());
    let at = report.moment.as_ref().or(report.snapshot_at.as_ref());
    row(
        "Moment",
        at.cloned()
            .unwrap_or_else(|| "each collection at its own".to_owned()),
    );
    row("Restored to", format!("MongoDB {}", report.server_version));
    row("Begun", report.started_at.clone());
    row("Over", report.finished_at.clone());
    row(
        "Recovery time (RTO)",
        format!("{:.1} seconds", report.restore_seconds),
    );
    let until = report.restorable_until_seconds;
    let until = until.and_then(|until| Timestamp::from_second(until).ok());
    row(
        "Last moment that could be restored",
        until.map_or_else(|| "none".to_owned(), |until| until.to_string()),
    );
    row(
        "Would have been lost (RPO)",
        report
            .lost_seconds
            .map_or_else(|| "everything".to_owned(), |lost| format!("{lost} seconds")),
    );
    row("Documents restored", report.documents.to_string());
    if let Some(failure) = &report.failure {
        row("Could not be restored", failure.clone());
    }
    for problem in &report.problems {
        row("Problem", problem.to_string());
    }
    page.push_str("</table>\n");
    if let Some(comparison) = &report.comparison {
        page.push_str(
            "<h2>Compared with the backup</h2>\n<table>\n<tr><th>Namespace</th><th>Documents</th><th>Expected</th><th>Digest</th><th>Result</th></tr>\n",
        );
        for namespace in &comparison.namespaces {
            page.push_str(&row_of(namespace));
        }
        page.push_str("</table>\n");
    }
    page.push_str("</body></html>\n");
    page
}

fn row_of(namespace: &ComparedNamespace) -> String {
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let differences = namespace.differences.iter().map(ToString::to_string);
    let found: Vec<String> = differences
        .chain(namespace.not_compared.iter().cloned())
        .collect();
    let (class, result) = match (namespace.differences.is_empty(), found.is_empty()) {
        (true, true) => ("good", "the same".to_owned()),
        (true, false) => ("", found.join("; ")),
        (false, _) => ("bad", found.join("; ")),
    };
    let digest = namespace.digest.as_deref().unwrap_or_default();
    let digest = digest.get(..16).unwrap_or_default();
    format!(
        "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td><code>{digest}</code></td><td class=\"{class}\">{}</td></tr>\n",
        escaped(&namespace.namespace.to_string()),
        number(namespace.documents),
        number(namespace.expected_documents),
        escaped(&result)
    )
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_no_markup() {
        assert_eq!(escaped("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;");
    }
}
