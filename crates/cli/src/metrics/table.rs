//! Every metric that there is. `docs/monitoring.md` has the same table.

/// What is measured, as Prometheus knows it.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The names of its labels.
    pub(crate) labels: &'static [&'static str],
}

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
}

impl Metric {
    /// What it is called beside others of the run, as a key of JSON.
    pub(crate) fn key(&self) -> String {
        let name = self.name.strip_prefix("rdump_").unwrap_or(self.name);
        name.strip_prefix("last_run_")
            .unwrap_or(name)
            .replace('_', "-")
    }
}

/// The labels of what is about a repository as it is.
pub(crate) const OF_REPOSITORY: &[&str] = &["repository"];
/// The labels of what is about the last run of an operation.
pub(crate) const OF_OPERATION: &[&str] = &["repository", "operation"];

macro_rules! metrics {
    ($($const:ident $name:literal $kind:ident $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub(crate) static $const: Metric = Metric {
                name: $name,
                help: $help,
                kind: Kind::$kind,
                labels: $labels,
            };
        )*
        /// All of them.
        pub(crate) static ALL: &[&Metric] = &[$(&$const),*];
    };
}

metrics! {
    BUILD_INFO "rdump_build_info" Gauge &["version"], "Always 1; the version of rdump that wrote this.";

    LAST_SUCCESS "rdump_last_success_timestamp_seconds" Gauge OF_OPERATION, "When the operation last ended well, with problems or without.";
    LAST_FAILURE "rdump_last_failure_timestamp_seconds" Gauge OF_OPERATION, "When the operation last failed, was stopped or found damage.";
    RUNS "rdump_runs_total" Counter &["repository", "operation", "result"], "Runs that ended; result is success or failure.";
    LAST_RUN_SUCCESS "rdump_last_run_success" Gauge OF_OPERATION, "1 if the last run ended well, 0 if not.";
    LAST_RUN_ERROR "rdump_last_run_error" Gauge &["repository", "operation", "kind"], "1 if the last run failed; kind says what should be done about it.";
    DURATION "rdump_last_run_duration_seconds" Gauge OF_OPERATION, "How long the last run took.";
    PROBLEMS "rdump_last_run_problems" Gauge OF_OPERATION, "What was wrong in the last run and did not end it.";
    DAMAGE "rdump_last_run_damage" Gauge OF_OPERATION, "Places that the last run found damaged.";
    DOCUMENTS "rdump_last_run_documents" Gauge OF_OPERATION, "Documents that the last run stored, restored, copied or read.";
    FAILED_DOCUMENTS "rdump_last_run_failed_documents" Gauge OF_OPERATION, "Documents that the target refused in the last run.";
    NAMESPACES "rdump_last_run_namespaces" Gauge OF_OPERATION, "Namespaces of the last run.";
    UNCOMPRESSED_BYTES "rdump_last_run_uncompressed_bytes" Gauge OF_OPERATION, "Bytes of documents in the last run.";
    STORED_BYTES "rdump_last_run_stored_bytes" Gauge OF_OPERATION, "Bytes as they are stored that the last run stored, copied, verified or deleted.";
    OBJECTS "rdump_last_run_objects" Gauge OF_OPERATION, "Objects that the last run copied, verified or deleted.";
    SNAPSHOTS_DONE "rdump_last_run_snapshots" Gauge OF_OPERATION, "Snapshots that the last run copied, verified or deleted.";
    SLICES "rdump_last_run_slices" Gauge OF_OPERATION, "Slices and gaps that the last run captured, copied, verified or deleted.";
    RESTORE_SECONDS "rdump_last_run_restore_seconds" Gauge OF_OPERATION, "How long the last drill restored: the recovery time.";
    LOST_SECONDS "rdump_last_run_lost_seconds" Gauge OF_OPERATION, "What would have been lost, had the source been when the last drill began: the recovery point.";
    GAPS_FOUND "rdump_last_run_gaps" Gauge OF_OPERATION, "Gaps that the last run found.";

    SNAPSHOTS "rdump_snapshots" Gauge OF_REPOSITORY, "Snapshots that can be read.";
    DAMAGED_SNAPSHOTS "rdump_damaged_snapshots" Gauge OF_REPOSITORY, "Snapshots that were found damaged, or whose manifest is lost.";
    UNFINISHED_SNAPSHOTS "rdump_unfinished_snapshots" Gauge OF_REPOSITORY, "Snapshots that were begun and are not finished.";
    RUNNING_SNAPSHOTS "rdump_running_snapshots" Gauge OF_REPOSITORY, "Unfinished snapshots that somebody may be writing.";
    NEWEST_SNAPSHOT "rdump_newest_snapshot_timestamp_seconds" Gauge OF_REPOSITORY, "The moment of the newest snapshot that can be read.";
    LAST_GOOD_SNAPSHOT "rdump_last_good_snapshot_timestamp_seconds" Gauge OF_REPOSITORY, "The moment of the newest snapshot that was verified and found whole.";
    LAST_VERIFIED "rdump_last_verified_timestamp_seconds" Gauge OF_REPOSITORY, "When a snapshot was verified last.";
    REPOSITORY_OBJECTS "rdump_repository_objects" Gauge OF_REPOSITORY, "Objects in the repository.";
    REPOSITORY_BYTES "rdump_repository_stored_bytes" Gauge OF_REPOSITORY, "Bytes in the repository.";
    REPOSITORY_ADDED_BYTES "rdump_repository_added_bytes" Gauge OF_REPOSITORY, "Bytes of snapshots and slices of the last seven days.";
    RESTORABLE_START "rdump_restorable_start_timestamp_seconds" Gauge OF_REPOSITORY, "The first moment of the last stretch without a hole that can be restored.";
    RESTORABLE_END "rdump_restorable_end_timestamp_seconds" Gauge OF_REPOSITORY, "The last moment that can be restored.";
    CAPTURED_UNTIL "rdump_captured_until_timestamp_seconds" Gauge OF_REPOSITORY, "The last moment that is captured.";
    GAPS "rdump_gaps" Gauge OF_REPOSITORY, "Gaps in what was captured.";
    OPEN_GAPS "rdump_open_gaps" Gauge OF_REPOSITORY, "Gaps that no snapshot is after: what is captured after them leads nowhere.";
    CAPTURING "rdump_capture_running" Gauge OF_REPOSITORY, "1 if somebody captures, 0 if not.";
    WAITING_BYTES "rdump_capture_waiting_bytes" Gauge OF_REPOSITORY, "Bytes that a capture has read and not stored.";
    STATUS_TIME "rdump_status_timestamp_seconds" Gauge OF_REPOSITORY, "When the repository was looked at.";

    CAPTURE_LAG "rdump_capture_lag_seconds" Gauge OF_REPOSITORY, "How long ago the last moment is that is captured.";
    CAPTURE_SLICES "rdump_capture_slices_total" Counter OF_REPOSITORY, "Slices that this process stored.";
    CAPTURE_ENTRIES "rdump_capture_entries_total" Counter OF_REPOSITORY, "Entries in them.";
    CAPTURE_BYTES "rdump_capture_stored_bytes_total" Counter OF_REPOSITORY, "Bytes of them as they are stored.";
    CAPTURE_GAPS "rdump_capture_gaps_total" Counter OF_REPOSITORY, "Gaps that this process found.";
    CAPTURE_INTERRUPTIONS "rdump_capture_interruptions_total" Counter OF_REPOSITORY, "How often this process was interrupted and went on.";
}
