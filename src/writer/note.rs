//! What is on disk about a partial file.

use std::fmt;
use std::fs;
use std::sync::LazyLock;

use crate::record::Record;

/// What proves the bytes of a partial file, and how many of them are sure to be there.
#[derive(Debug, PartialEq)]
pub(crate) struct Note {
    /// How many bytes are there after a power cut, too.
    pub(super) flushed: u64,
    /// During which run of the system the others were written.
    boot: Option<String>,
    pub(super) record: Record,
}

/// The first line of a note: another version has another one.
const TITLE: &str = "ganymede partial download 1";

/// What tells this run of the system from others, where the system says.
static BOOT: LazyLock<Option<String>> = LazyLock::new(|| {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let boot = boot.trim();
    (!boot.is_empty() && !boot.contains('\n')).then(|| boot.to_owned())
});

impl Note {
    pub(super) fn new(flushed: u64, record: Record) -> Self {
        Self { flushed, boot: BOOT.clone(), record }
    }

    /// Tells whether the system has not gone down since, so that all that was written is there.
    pub(super) fn is_of_now(&self) -> bool {
        self.boot.is_some() && self.boot == *BOOT
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(TITLE)?.strip_prefix('\n')?;
        let (flushed, rest) = rest.strip_prefix("flushed ")?.split_once('\n')?;
        let (boot, rest) = match rest.strip_prefix("boot ") {
            Some(rest) => rest.split_once('\n').map(|(boot, rest)| (Some(boot.to_owned()), rest))?,
            None => (None, rest),
        };
        Some(Self { flushed: flushed.parse().ok()?, boot, record: rest.parse().ok()? })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}\nflushed {}", self.flushed)?;
        if let Some(boot) = &self.boot {
            writeln!(f, "boot {boot}")?;
        }
        self.record.fmt(f)
    }
}
