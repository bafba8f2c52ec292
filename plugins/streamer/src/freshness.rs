//! How long a content may be used again, and what for: RFC 9111 for a shared cache, and RFC 5861.

use std::time::{Duration, SystemTime};

use http::header::{AGE, AUTHORIZATION, COOKIE, DATE, EXPIRES, LAST_MODIFIED, VARY};
use http::{HeaderMap, StatusCode};

use crate::directives::{LONGEST, RequestDirectives, ResponseDirectives};
use crate::rules::Rules;

/// What is known of the time of a stored response.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    received: SystemTime,
    /// Its age when it was received.
    initial: Duration,
    lifetime: Duration,
    /// Its source has said how long it is fresh.
    pub(crate) explicit: bool,
    pub(crate) public: bool,
    while_revalidate: Duration,
    if_error: Duration,
    /// It may not be used without asking, whatever its age.
    asks_always: bool,
    /// It may not be used when it is stale.
    strict: bool,
}

/// What a stored response is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It answers the request.
    Fresh,
    /// It answers the request, and is asked for anew meanwhile.
    Background,
    /// It is asked for anew first.
    Revalidate,
}

/// Tells whether a shared cache may keep the response to a request (RFC 9111 §3).
///
/// `sent` are the headers that the source was sent.
pub(crate) fn is_storable(sent: &HeaderMap, status: StatusCode, headers: &HeaderMap, rules: &Rules) -> bool {
    let directives = ResponseDirectives::of(headers, &rules.targets);
    // A status without a name is none that is known here.
    let understood = status.canonical_reason().is_some();
    let forbidden = if directives.must_understand { !understood } else { directives.no_store };
    let known = [AUTHORIZATION, COOKIE].iter().any(|name| sent.contains_key(name));
    // What was given to who has shown who they are is for them, unless it says otherwise (RFC 9111 §3.5).
    let shareable = directives.public || directives.must_revalidate || directives.shared_max_age.is_some();
    let varies = headers.get_all(VARY).iter().any(|value| value.as_bytes().contains(&b'*'));
    !forbidden
        && !directives.private
        && !RequestDirectives::of(sent).no_store
        && !varies
        && (!known || shareable)
}

impl Freshness {
    /// Reads it from the headers of a response that was asked for and received at these times.
    pub(crate) fn of(
        headers: &HeaderMap,
        requested: SystemTime,
        received: SystemTime,
        rules: &Rules,
    ) -> Self {
        let directives = ResponseDirectives::of(headers, &rules.targets);
        let date = date(headers, &DATE).unwrap_or(received);
        // RFC 9111 §4.2.3.
        let apparent = received.duration_since(date).unwrap_or_default();
        let delay = received.duration_since(requested).unwrap_or_default();
        let stated = age(headers);
        let initial = apparent.max(stated.unwrap_or_default().saturating_add(delay));
        let said = directives.shared_max_age.or(directives.max_age);
        let said = said.or_else(|| expires(headers, date).filter(|_| !directives.targeted));
        let lifetime = said.or_else(|| heuristic(headers, date, rules)).filter(|_| stated.is_some());
        Self {
            received,
            initial,
            lifetime: lifetime.unwrap_or_default(),
            explicit: said.is_some(),
            public: directives.public,
            while_revalidate: directives.while_revalidate.unwrap_or(rules.stale_while_revalidate),
            if_error: directives.if_error.unwrap_or(rules.stale_if_error),
            asks_always: directives.no_cache,
            // A shared cache takes s-maxage for proxy-revalidate, too (RFC 9111 §5.2.2.10).
            strict: directives.must_revalidate || directives.no_cache || directives.shared_max_age.is_some(),
        }
    }

    /// Returns its age (RFC 9111 §4.2.3).
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        self.initial.saturating_add(now.duration_since(self.received).unwrap_or_default())
    }

    /// Returns how much longer it is fresh, if it is.
    pub(crate) fn rest(&self, now: SystemTime) -> Duration {
        if self.asks_always { Duration::ZERO } else { self.lifetime.saturating_sub(self.age(now)) }
    }

    /// Returns how much longer it is fresh, in seconds: below zero since when it is not.
    pub(crate) fn left(&self, now: SystemTime) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime).saturating_sub(seconds(self.age(now)))
    }

    /// Decides what it is good for (RFC 9111 §4.2 and §5.2.1).
    pub(crate) fn judge(&self, request: &RequestDirectives, now: SystemTime) -> Use {
        let age = self.age(now);
        if self.asks_always || request.no_cache || request.max_age.is_some_and(|longest| age > longest) {
            return Use::Revalidate;
        }
        let fresh = self.lifetime > age;
        if fresh {
            let enough = request.min_fresh.is_zero() || self.lifetime - age >= request.min_fresh;
            return if enough { Use::Fresh } else { Use::Revalidate };
        }
        let stale = age - self.lifetime;
        if self.strict || !request.min_fresh.is_zero() {
            Use::Revalidate
        } else if stale < self.while_revalidate {
            Use::Background
        } else if !request.max_stale.is_zero() && stale <= request.max_stale {
            Use::Fresh
        } else {
            Use::Revalidate
        }
    }

    /// Tells whether it may answer a request although its source has failed to say whether it still holds.
    pub(crate) fn serves_in_need(&self, request: &RequestDirectives, now: SystemTime) -> bool {
        let age = self.age(now);
        let fresh = self.lifetime > age && !self.asks_always;
        let bearable = !self.strict && age.saturating_sub(self.lifetime) < self.if_error;
        let taken = !request.no_cache && request.max_age.is_none_or(|longest| age <= longest);
        (fresh || bearable) && taken
    }
}

fn date(headers: &HeaderMap, name: &http::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

/// Returns the age that the response had on its way (RFC 9111 §5.1); `None` if what is there is not one number, which may
/// stand for any age: to ask anew is always safe.
fn age(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(AGE).iter();
    let Some(only) = values.next() else { return Some(Duration::ZERO) };
    let digits = only.to_str().ok().filter(|_| values.next().is_none())?.trim();
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too large is a long time.
    number.then(|| Duration::from_secs(digits.parse().unwrap_or(LONGEST).min(LONGEST)))
}

/// Returns how long it is fresh by `Expires`; what is no date is a time in the past (RFC 9111 §5.3).
fn expires(headers: &HeaderMap, sent: SystemTime) -> Option<Duration> {
    headers.contains_key(EXPIRES).then(|| {
        let until = date(headers, &EXPIRES);
        until.and_then(|until| until.duration_since(sent).ok()).unwrap_or_default()
    })
}

/// Guesses by the time since the last modification (RFC 9111 §4.2.2).
fn heuristic(headers: &HeaderMap, sent: SystemTime, rules: &Rules) -> Option<Duration> {
    let Some(modified) = date(headers, &LAST_MODIFIED) else { return Some(rules.lifetime) };
    let unchanged = sent.duration_since(modified).ok()?;
    Some(unchanged.mul_f64(rules.heuristic).min(rules.heuristic_limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
    }

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn freshness(list: &[(&str, &str)]) -> Freshness {
        Freshness::of(&headers(list), at(0), at(0), &Rules::new())
    }

    fn request(value: &str) -> RequestDirectives {
        RequestDirectives::of(&headers(&[("cache-control", value)]))
    }

    fn of(list: &[(&str, &str)], control: &str, after: u64) -> Use {
        freshness(list).judge(&request(control), at(after))
    }

    #[test]
    fn the_lifetime_is_that_of_the_shared_cache_then_the_age_then_the_date_then_a_guess() {
        let date = httpdate::fmt_http_date(at(0));
        let later = httpdate::fmt_http_date(at(50));
        let modified = httpdate::fmt_http_date(at(0) - Duration::from_secs(1000));
        let all = [("date", &*date), ("expires", &*later), ("last-modified", &*modified)];
        let with = |control: &'static str| {
            let mut all = all.to_vec();
            all.push(("cache-control", control));
            freshness(&all).lifetime.as_secs()
        };
        assert_eq!([with("s-maxage=7, max-age=9"), with("max-age=9"), with("public")], [7, 9, 50]);
        assert_eq!(freshness(&[all[0], all[2]]).lifetime.as_secs(), 100);
        assert_eq!(freshness(&[all[0]]).lifetime.as_secs(), 0);
        assert_eq!(freshness(&[all[0], ("expires", "0"), all[2]]).lifetime.as_secs(), 0);
    }

    #[test]
    fn the_age_is_the_greater_of_what_is_said_and_what_is_seen() {
        let date = httpdate::fmt_http_date(at(0));
        let list = headers(&[("date", &date), ("age", "5"), ("cache-control", "max-age=100")]);
        let seen = Freshness::of(&list, at(18), at(20), &Rules::new());
        assert_eq!(seen.age(at(30)).as_secs(), 30);
        let said = Freshness::of(&list, at(0), at(2), &Rules::new());
        assert_eq!(said.age(at(10)).as_secs(), 15);
        assert_eq!(said.left(at(10)), 85);
        assert_eq!(said.left(at(110)), -15);
    }

    #[test]
    fn an_age_that_is_not_one_number_may_be_any() {
        for bad in ["", "x", "-1", "5.0", "5, 9", "5;a", "+5"] {
            assert_eq!(
                of(&[("age", bad), ("cache-control", "max-age=100")], "", 0),
                Use::Revalidate,
                "{bad}"
            );
        }
        let mut twice = headers(&[("age", "5"), ("cache-control", "max-age=100")]);
        twice.append("age", "5".parse().unwrap());
        let twice = Freshness::of(&twice, at(0), at(0), &Rules::new());
        assert_eq!(twice.judge(&request(""), at(0)), Use::Revalidate);
        assert_eq!(of(&[("age", "05"), ("cache-control", "max-age=100")], "", 94), Use::Fresh);
        let long = [("age", "99999999999999999999999"), ("cache-control", "max-age=99999999999999999999999")];
        assert_eq!(of(&long, "", 0), Use::Revalidate);
    }

    #[test]
    fn what_is_for_shared_caches_of_this_kind_counts_instead_of_all_else() {
        let expires = httpdate::fmt_http_date(at(50));
        let date = httpdate::fmt_http_date(at(0));
        let own = |own: &str| {
            let all = [
                ("date", &*date),
                ("expires", &expires),
                ("cache-control", "no-store"),
                ("cdn-cache-control", own),
            ];
            let headers = headers(&all);
            let storable = is_storable(&HeaderMap::new(), StatusCode::OK, &headers, &Rules::new());
            (storable, Freshness::of(&headers, at(0), at(0), &Rules::new()).lifetime.as_secs())
        };
        assert_eq!([own("max-age=7"), own("public"), own("no-store")], [(true, 7), (true, 0), (false, 0)]);
        assert!(!own("").0);
    }

    #[test]
    fn a_fresh_one_is_used_until_its_time_is_over() {
        let list = [("cache-control", "max-age=10")];
        assert_eq!((of(&list, "", 9), of(&list, "", 10)), (Use::Fresh, Use::Revalidate));
    }

    #[test]
    fn a_request_may_want_a_fresher_one_or_take_a_stale_one() {
        let list = [("cache-control", "max-age=10")];
        assert_eq!(of(&list, "no-cache", 1), Use::Revalidate);
        assert_eq!((of(&list, "max-age=5", 5), of(&list, "max-age=5", 6)), (Use::Fresh, Use::Revalidate));
        assert_eq!((of(&list, "min-fresh=5", 5), of(&list, "min-fresh=5", 6)), (Use::Fresh, Use::Revalidate));
        assert_eq!(
            (of(&list, "max-stale=5", 15), of(&list, "max-stale=5", 16)),
            (Use::Fresh, Use::Revalidate)
        );
        assert_eq!(of(&list, "max-stale", 10_000), Use::Fresh);
    }

    #[test]
    fn a_stale_one_that_must_be_asked_for_is() {
        for control in ["max-age=10, must-revalidate", "max-age=10, proxy-revalidate", "s-maxage=10"] {
            let list = [("cache-control", control)];
            assert_eq!(
                (of(&list, "", 9), of(&list, "max-stale", 11)),
                (Use::Fresh, Use::Revalidate),
                "{control}"
            );
            assert!(!freshness(&list).serves_in_need(&request(""), at(11)), "{control}");
        }
        assert_eq!(of(&[("cache-control", "no-cache, max-age=10")], "max-stale", 1), Use::Revalidate);
    }

    #[test]
    fn a_stale_one_is_used_while_it_is_asked_for_and_when_that_fails() {
        let list = [("cache-control", "max-age=10, stale-while-revalidate=5, stale-if-error=20")];
        assert_eq!((of(&list, "", 14), of(&list, "", 15)), (Use::Background, Use::Revalidate));
        assert_eq!(of(&list, "max-age=3", 14), Use::Revalidate);
        let need = |control: &str, after| freshness(&list).serves_in_need(&request(control), at(after));
        assert_eq!(
            [need("", 29), need("", 30), need("no-cache", 29), need("max-age=5", 29)],
            [true, false, false, false]
        );
    }

    #[test]
    fn what_is_for_one_alone_is_not_kept() {
        let none = HeaderMap::new();
        let stored = |sent: &HeaderMap, status: u16, headers: &HeaderMap| {
            is_storable(sent, StatusCode::from_u16(status).unwrap(), headers, &Rules::new())
        };
        let storable = |control: &str| stored(&none, 200, &headers(&[("cache-control", control)]));
        assert!(storable("") && storable("max-age=0") && storable("no-cache"));
        assert!(!storable("no-store") && !storable("private, max-age=9"));
        assert!(!stored(&none, 200, &headers(&[("vary", "accept, *")])));
        assert!(!stored(&headers(&[("cache-control", "no-store")]), 200, &none));
        for known in [headers(&[("authorization", "Bearer x")]), headers(&[("cookie", "a=b")])] {
            assert!(!stored(&known, 200, &headers(&[("cache-control", "max-age=9")])));
            for control in ["public", "s-maxage=9", "must-revalidate"] {
                assert!(stored(&known, 200, &headers(&[("cache-control", control)])), "{control}");
            }
        }
        // Who knows a status knows better than who was told not to keep what they do not know.
        let careful = headers(&[("cache-control", "max-age=9, no-store, must-understand")]);
        assert!(
            stored(&none, 200, &careful) && stored(&none, 404, &careful) && !stored(&none, 599, &careful)
        );
    }
}
