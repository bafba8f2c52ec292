//! `Cache-Control`, as requests and responses have it (RFC 9111 §5.2).

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

/// The longest time that a directive stands for (RFC 9111 §1.2.2).
pub(crate) const LONGEST: u64 = 1 << 31;

/// What a response says about how it may be kept and used again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) shared_max_age: Option<Duration>,
    pub(crate) while_revalidate: Option<Duration>,
    pub(crate) if_error: Option<Duration>,
    /// They are for caches of this kind only, so that `Expires` does not count.
    pub(crate) targeted: bool,
}

/// What a request says about what may answer it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) min_fresh: Duration,
    /// How stale it may be.
    pub(crate) max_stale: Duration,
}

impl ResponseDirectives {
    /// Reads them from the first of the targets that is there, or else from `Cache-Control` (RFC 9213 §2.2).
    pub(crate) fn of(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        let targeted = targets.iter().map(|name| list(headers, name)).find(|list| !list.is_empty());
        let mut all = Self { targeted: targeted.is_some(), ..Self::default() };
        for (name, value) in targeted.unwrap_or_else(|| list(headers, &CACHE_CONTROL)) {
            let value = value.as_deref();
            match &*name {
                "no-store" => all.no_store = true,
                // With the names of fields, they are taken as without, which is always safe (RFC 9111 §5.2.2.4).
                "no-cache" => all.no_cache = true,
                "private" => all.private = true,
                "public" => all.public = true,
                "must-revalidate" | "proxy-revalidate" => all.must_revalidate = true,
                "must-understand" => all.must_understand = true,
                "max-age" => shorter(&mut all.max_age, value),
                "s-maxage" => shorter(&mut all.shared_max_age, value),
                "stale-while-revalidate" => shorter(&mut all.while_revalidate, value),
                "stale-if-error" => shorter(&mut all.if_error, value),
                _ => {}
            }
        }
        all
    }
}

impl RequestDirectives {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        for (name, value) in list(headers, &CACHE_CONTROL) {
            let value = value.as_deref();
            match &*name {
                "no-store" => all.no_store = true,
                "no-cache" => all.no_cache = true,
                "only-if-cached" => all.only_if_cached = true,
                "max-age" => shorter(&mut all.max_age, value),
                "min-fresh" => all.min_fresh = seconds(value),
                // Without a value, any age will do (RFC 9111 §5.2.1.2).
                "max-stale" => all.max_stale = value.map_or(Duration::MAX, |value| seconds(Some(value))),
                _ => {}
            }
        }
        // What came before Cache-Control counts where that is not there (RFC 9111 §5.4).
        let pragma = || headers.get_all(PRAGMA).iter().filter_map(|value| value.to_str().ok());
        if !headers.contains_key(CACHE_CONTROL)
            && pragma().any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("no-cache")))
        {
            all.no_cache = true;
        }
        all
    }
}

/// Takes a time; of several, the shortest (RFC 9111 §4.2.1).
fn shorter(time: &mut Option<Duration>, value: Option<&str>) {
    let new = seconds(value);
    *time = Some(time.map_or(new, |old| old.min(new)));
}

/// Parses a number of seconds; what is none stands for no time at all, which is always safe.
fn seconds(value: Option<&str>) -> Duration {
    let digits = value.filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()));
    // A number that is too large is a long time (RFC 9111 §1.2.2).
    Duration::from_secs(digits.map_or(0, |digits| digits.parse().unwrap_or(LONGEST).min(LONGEST)))
}

/// Returns the directives: their names in lower case, and their values without quotes.
fn list(headers: &HeaderMap, header: &HeaderName) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for value in headers.get_all(header) {
        let text = String::from_utf8_lossy(value.as_bytes());
        for member in members(&text) {
            let (name, value) = match member.split_once('=') {
                Some((name, value)) => (name, Some(unquoted(value_alone(value)))),
                None => (value_alone(member), None),
            };
            let name = name.trim().to_ascii_lowercase();
            if !name.is_empty() {
                all.push((name, value));
            }
        }
    }
    all
}

/// Splits a list at the commas that are in no quoted string (RFC 9110 §5.6.1 and §5.6.4).
pub(crate) fn members(text: &str) -> Vec<&str> {
    let (mut all, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                all.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(text[start..].trim());
    all.retain(|member| !member.is_empty());
    all
}

/// Returns a value without its parameters, which only structured fields have (RFC 8941 §3.1.2).
fn value_alone(value: &str) -> &str {
    let mut quoted = false;
    let end = value.find(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    value[..end.unwrap_or(value.len())].trim()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    let kept = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inner.chars().filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (CACHE_CONTROL, HeaderValue::from_static(value))).collect()
    }

    fn of(values: &[&'static str]) -> ResponseDirectives {
        ResponseDirectives::of(&headers(values), &[])
    }

    fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn directives_are_read_in_any_case_from_any_number_of_lines_and_with_quotes() {
        let all = of(&["Max-Age=60 , PUBLIC,", "s-maxage=\"7\",stale-if-error=9"]);
        assert_eq!((all.max_age, all.shared_max_age, all.if_error), (secs(60), secs(7), secs(9)));
        assert!(all.public && !all.no_cache && !all.private && !all.no_store);
    }

    #[test]
    fn a_name_in_a_quoted_string_is_no_directive() {
        let all = of(&["ext=\"no-store, max-age=1 \\\", private\", max-age=5"]);
        assert_eq!(all, ResponseDirectives { max_age: secs(5), ..Default::default() });
    }

    #[test]
    fn fields_named_by_no_cache_and_private_are_taken_for_all() {
        let all = of(&["no-cache=\"Set-Cookie\", private=\"X\""]);
        assert!(all.no_cache && all.private);
    }

    #[test]
    fn of_several_times_the_shortest_counts_and_what_is_none_is_no_time() {
        assert_eq!(of(&["max-age=9, max-age=3"]).max_age, secs(3));
        for bad in ["max-age=-1", "max-age=1.5", "max-age", "max-age=", "max-age=x", "max-age= 1 2"] {
            assert_eq!(of(&[bad]).max_age, secs(0), "{bad}");
        }
        let long = of(&["max-age=99999999999999999999999"]);
        assert_eq!(long.max_age, secs(LONGEST));
    }

    #[test]
    fn what_is_for_caches_of_this_kind_counts_alone() {
        let targets = [HeaderName::from_static("x-near"), HeaderName::from_static("x-far")];
        let with = |list: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            ResponseDirectives::of(&list.iter().map(pair).collect(), &targets)
        };
        let general = ("cache-control", "no-store, max-age=1");
        let near = with(&[
            general,
            ("x-far", "max-age=3"),
            ("x-near", "max-age=2;any;p=\"a;b\", must-revalidate;p"),
        ]);
        assert!(near.targeted && near.must_revalidate && !near.no_store);
        assert_eq!(near.max_age, secs(2));
        assert_eq!(with(&[general, ("x-far", "max-age=3"), ("x-near", " ,")]).max_age, secs(3));
        let none = with(&[general, ("x-other", "max-age=2")]);
        assert!(!none.targeted && none.no_store);
    }

    #[test]
    fn a_request_says_what_it_takes() {
        let all =
            RequestDirectives::of(&headers(&["no-cache, max-age=0, min-fresh=3, max-stale, only-if-cached"]));
        assert!(all.no_cache && all.only_if_cached && !all.no_store);
        assert_eq!(
            (all.max_age, all.min_fresh, all.max_stale),
            (secs(0), Duration::from_secs(3), Duration::MAX)
        );
        assert_eq!(RequestDirectives::of(&headers(&["max-stale=4"])).max_stale, Duration::from_secs(4));
    }

    #[test]
    fn pragma_counts_where_there_is_no_cache_control() {
        let mut old: HeaderMap = [(PRAGMA, HeaderValue::from_static("x, No-Cache"))].into_iter().collect();
        assert!(RequestDirectives::of(&old).no_cache);
        old.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        assert!(!RequestDirectives::of(&old).no_cache);
    }
}
