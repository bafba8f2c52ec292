//! Which parts of a content are asked for (RFC 9110 §14).

use std::num::NonZeroUsize;
use std::ops::Range;

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};
use http_range_header::{ParsedRanges, RangeUnsatisfiableError, parse_range_header_with_max_ranges};

/// How many parts are sent at once, at most; who asks for more is sent everything.
const MOST: NonZeroUsize = match NonZeroUsize::new(64) {
    Some(most) => most,
    None => NonZeroUsize::MIN,
};

/// Which parts of a content are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it.
    Whole,
    /// These parts, of which there is at least one.
    Parts(Vec<Range<u64>>),
    /// None that it has.
    Unsatisfiable,
}

/// Reads `Range`; one that is malformed, or asks for too much, counts as none (RFC 9110 §14.2).
pub(crate) fn selection(headers: &HeaderMap, length: u64) -> Selection {
    let Some(parsed) = parsed(headers) else { return Selection::Whole };
    match parsed.validate(length) {
        Ok(ranges) if ranges.is_empty() => Selection::Whole,
        Ok(ranges) => {
            let parts: Vec<Range<u64>> =
                ranges.into_iter().map(|range| *range.start()..range.end() + 1).collect();
            let asked: u64 = parts.iter().map(|part| part.end - part.start).fold(0, u64::saturating_add);
            if parts.len() > 1 && asked > length { Selection::Whole } else { Selection::Parts(parts) }
        }
        Err(RangeUnsatisfiableError::Unsatisfiable) => Selection::Unsatisfiable,
        Err(_) => Selection::Whole,
    }
}

fn parsed(headers: &HeaderMap) -> Option<ParsedRanges> {
    let mut values = headers.get_all(RANGE).iter();
    let only = values.next().filter(|_| values.next().is_none());
    parse_range_header_with_max_ranges(only?.to_str().ok()?, MOST).ok()
}

/// Writes what a part is of (RFC 9110 §14.4).
pub(crate) fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

/// Writes that no part that was asked for is there (RFC 9110 §15.5.17).
pub(crate) fn unsatisfied(length: u64) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("bytes */{length}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(range: Range<u64>) -> Selection {
        Selection::Parts([range].into())
    }

    fn of(value: &'static str, length: u64) -> Selection {
        selection(&[(RANGE, HeaderValue::from_static(value))].into_iter().collect(), length)
    }

    #[test]
    fn one_and_several_parts_from_the_start_and_from_the_end() {
        assert_eq!(of("bytes=0-0", 10), part(0..1));
        assert_eq!(of("bytes=8-", 10), part(8..10));
        assert_eq!(of("bytes=-3", 10), part(7..10));
        assert_eq!(of("bytes=-30", 10), part(0..10));
        assert_eq!(of("bytes=5-99", 10), part(5..10));
        assert_eq!(of("Bytes=1-2, 5-6", 10), Selection::Parts(vec![1..3, 5..7]));
    }

    #[test]
    fn what_is_not_there_is_told_and_what_makes_no_sense_counts_as_none() {
        assert_eq!(of("bytes=10-", 10), Selection::Unsatisfiable);
        assert_eq!(of("bytes=0-", 0), Selection::Unsatisfiable);
        for bad in ["bytes=", "bytes=a-b", "bytes=5-2", "items=0-1", "bytes=--1", "0-1", "bytes=1-2 3-4"] {
            assert_eq!(of(bad, 10), Selection::Whole, "{bad}");
        }
        assert_eq!(selection(&HeaderMap::new(), 10), Selection::Whole);
    }

    #[test]
    fn who_asks_for_more_than_there_is_in_parts_is_sent_everything() {
        assert_eq!(of("bytes=0-9,0-9", 10), Selection::Whole);
        let many: Vec<String> = (0..100).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
        let value = HeaderValue::from_str(&format!("bytes={}", many.join(","))).unwrap();
        assert_eq!(selection(&[(RANGE, value)].into_iter().collect(), 1000), Selection::Whole);
    }
}
