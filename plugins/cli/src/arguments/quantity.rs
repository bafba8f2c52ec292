//! Amounts and times, as they are written on the command line.

use std::time::Duration;

/// Parses a number of bytes: plain, or with a suffix for a power of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let upper = upper.strip_suffix("IB").unwrap_or(&upper);
    let digits = upper.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &upper[digits.len()..] {
        "" if digits.len() == text.trim().len() => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("{text:?} is not a number of bytes, like 1048576 or 1M")),
    };
    let number = digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let number = number.and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("{text:?} is not a number of bytes, like 1048576 or 1M"))
}

/// Parses a number of bytes of which there must be some.
pub(crate) fn amount(text: &str) -> Result<u64, String> {
    match size(text) {
        Ok(0) => Err("it must be more than nothing".to_owned()),
        parsed => parsed,
    }
}

/// Parses a time that is more than none.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match time(text) {
        Ok(Duration::ZERO) => Err("it must be more than nothing".to_owned()),
        parsed => parsed,
    }
}

/// Parses a time.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let bad = |error| format!("{error}: durations look like 10s, 1m30s or 500ms");
    humantime::parse_duration(text).map_err(bad)
}
