use std::path::PathBuf;

use clap::Args;

use super::connection::path;

/// Who is told how a run ended.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct MonitorArgs {
    /// Write metrics to this file at the end, as node_exporter's textfile collector reads them; those of other runs in it stay
    #[arg(long = "metrics-file", value_name = "FILE", value_parser = path)]
    pub(crate) metrics_file: Option<PathBuf>,
}

/// A host and a port; IPv6 in brackets.
pub(super) fn address(text: &str) -> Result<String, String> {
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    match has_port {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no address such as 127.0.0.1:9464 or [::1]:9464"
        )),
    }
}
