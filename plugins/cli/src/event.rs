//! The lines of `--json`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ganymede::Receipt;
use serde::Serialize;

use crate::item::Item;
use crate::outcome::{FailedSource, Reason, Why};
use crate::report::Totals;
use crate::stats;
use crate::watch::Watch;

/// One line: fields are added to these over time, never taken away.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    Succeeded {
        url: &'a str,
        path: Option<String>,
        size: u64,
        digests: BTreeMap<&'static str, String>,
        source: &'a str,
        attempts: u32,
        seconds: f64,
        /// How many of the bytes an earlier run has received.
        resumed: u64,
    },
    Kept {
        url: &'a str,
        path: Option<String>,
        size: Option<u64>,
        reason: &'a str,
        attempts: u32,
        seconds: f64,
    },
    Failed {
        url: &'a str,
        path: Option<String>,
        error: Error<'a>,
        sources: &'a [FailedSource],
        attempts: u32,
        seconds: f64,
        /// How many bytes are kept for a later run to go on with.
        partial: u64,
    },
    Planned {
        url: &'a str,
        path: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        digests: BTreeMap<&'static str, String>,
        mirrors: Vec<String>,
    },
    Summary {
        succeeded: u64,
        kept: u64,
        failed: u64,
        bytes: u64,
        seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        planned: Option<u64>,
        /// Where the time has gone, if that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        stats: Option<&'a stats::Summary>,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Error<'a> {
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl<'a> Line<'a> {
    pub(crate) fn succeeded(watch: &'a Watch, receipt: &'a Receipt) -> Self {
        let facts = receipt.facts();
        Self::Succeeded {
            url: &watch.url,
            path: watch.path().as_deref().map(text),
            size: facts.size(),
            digests: facts.digests().iter().map(|digest| (digest.algorithm().name(), digest.hex())).collect(),
            source: receipt.source().as_str(),
            attempts: receipt.attempts(),
            seconds: seconds(watch.elapsed()),
            resumed: watch.resumed(),
        }
    }

    pub(crate) fn kept(watch: &'a Watch, receipt: &Receipt, why: Why) -> Self {
        let path = watch.path();
        Self::Kept {
            url: &watch.url,
            size: path.as_ref().and_then(|path| path.metadata().ok()).map(|there| there.len()),
            path: path.as_deref().map(text),
            reason: why.name(),
            attempts: receipt.attempts(),
            seconds: seconds(watch.elapsed()),
        }
    }

    pub(crate) fn failed(watch: &'a Watch, reason: &'a Reason, partial: u64) -> Self {
        Self::Failed {
            url: &watch.url,
            path: watch.path().as_deref().map(text),
            error: Error { kind: reason.kind, message: &reason.message, status: reason.status },
            sources: &reason.sources,
            attempts: reason.attempts,
            seconds: seconds(watch.elapsed()),
            partial,
        }
    }

    pub(crate) fn planned(watch: &'a Watch, item: &Item) -> Self {
        Self::Planned {
            url: &watch.url,
            path: watch.path().as_deref().map(text),
            size: item.size,
            digests: item.digests.iter().map(|digest| (digest.algorithm().name(), digest.hex())).collect(),
            mirrors: item.mirrors.iter().map(crate::item::shown).collect(),
        }
    }

    pub(crate) fn summary(totals: &Totals, elapsed: Duration, stats: Option<&'a stats::Summary>) -> Self {
        Self::Summary {
            succeeded: totals.succeeded,
            kept: totals.kept,
            failed: totals.failed,
            bytes: totals.bytes,
            seconds: seconds(elapsed),
            planned: totals.planned,
            stats,
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Whole milliseconds, in seconds.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
