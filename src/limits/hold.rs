//! When a host is to be left alone.

use std::time::{Duration, Instant};

use crate::failure::{ErrorKind, Failure};

/// How long a host is left alone after it has failed; each time that it fails again it is twice as long.
const FIRST: Duration = Duration::from_millis(50);

/// How far apart those go who have waited for a failing host long enough.
const SPACING: Duration = Duration::from_millis(20);

/// How long a host is remembered that nobody asks.
const MEMORY: Duration = Duration::from_secs(60);

/// A time that nobody here will see the end of, and that every clock can tell.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// What a host's answers say about asking it again; what time it is, it is told.
///
/// A host that fails is probed by one request at a time, until one is answered. Failures of requests that were under
/// way together count as one.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Until when it has asked to be left alone.
    asked: Option<Instant>,
    /// Until when it has asked to be left alone, which is longer than is waited for.
    shut: Option<(Instant, Failure)>,
    /// Whether it is not known to answer again.
    failing: bool,
    /// Whether it answers and then breaks off, so that an answer alone is no good sign.
    breaking: bool,
    /// How often it has failed since a request last came to a good end.
    failures: u32,
    /// Until when it is left alone for having failed.
    pause: Option<Instant>,
    /// Told apart are requests from before a failure and those after it.
    epoch: u64,
    probes: usize,
    /// When one was let go.
    last: Option<Instant>,
}

/// One request on its way, as the hold of its host let it go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    epoch: u64,
    probe: bool,
}

impl Pass {
    /// Tells whether it went to find out whether the host answers again.
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }
}

/// Why a request may not go now.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    /// It may, as far as is known, at this moment.
    Until(Instant),
    /// It may not while anyone would wait.
    Shut(Failure),
}

/// What a failure says about the host.
#[derive(Debug, PartialEq)]
pub(super) enum Says {
    /// Nothing.
    Nothing,
    /// It answers.
    Answers,
    /// It asks to be left alone for a time.
    Wait(Duration),
    /// It fails, and others would not do better.
    Fails,
}

impl Says {
    /// Reads a failure; a pause in the middle of a body may be the fault of a link that others keep busy.
    pub(super) fn of(failure: &Failure, answered: bool) -> Self {
        let asked = failure.wait().filter(|wait| !wait.is_zero());
        match (failure.kind(), failure.status().map(|status| status.as_u16()), asked) {
            (_, None | Some(429 | 503), Some(wait)) => Self::Wait(wait),
            (_, Some(429 | 502 | 503 | 504), _) => Self::Fails,
            (_, Some(_), _) => Self::Answers,
            (ErrorKind::NotFound | ErrorKind::Unauthorized, ..) => Self::Answers,
            (ErrorKind::Timeout, ..) if answered => Self::Nothing,
            (ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Tls | ErrorKind::Incomplete, ..)
                if failure.is_transient() =>
            {
                Self::Fails
            }
            _ => Self::Nothing,
        }
    }
}

/// Tells whether a failure may mean that a host, or the way to it, is asked for too much at once.
pub(super) fn is_pushback(failure: &Failure) -> bool {
    match (failure.kind(), failure.status().map(|status| status.as_u16())) {
        (_, Some(status)) => matches!(status, 429 | 503),
        (ErrorKind::Connect | ErrorKind::Timeout, None) => failure.is_transient(),
        _ => failure.wait().is_some_and(|wait| !wait.is_zero()),
    }
}

impl Hold {
    /// Tells why one may not go yet who has waited since a moment and is ready to wait for a failing host so long.
    pub(super) fn stop(&self, since: Instant, patience: Duration, now: Instant) -> Option<Stop> {
        if let Some((until, failure)) = self.shut.as_ref().filter(|(until, _)| *until > now) {
            return Some(Stop::Shut(failure.clone().retry_after(Some(*until - now))));
        }
        if let Some(asked) = self.asked.filter(|asked| *asked > now) {
            return Some(Stop::Until(asked));
        }
        if !self.failing {
            return None;
        }
        let start = self.asked.map_or(since, |asked| asked.max(since));
        let spaced = self.last.map_or(start, |last| last + SPACING);
        let impatient = (start + patience).max(spaced);
        let until =
            if self.probes > 0 { impatient } else { self.pause.map_or(now, |end| end.min(impatient)) };
        (until > now).then_some(Stop::Until(until))
    }

    /// Returns until when the host has asked to be left alone.
    pub(super) fn asked(&self, now: Instant) -> Option<Duration> {
        self.asked.map(|asked| asked.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Tells whether the failure of one would say anything that is not known of the host.
    pub(super) fn is_news(&self, pass: Pass) -> bool {
        !pass.probe && pass.epoch == self.epoch
    }

    /// Lets one go.
    pub(super) fn enter(&mut self, now: Instant) -> Pass {
        if self.failing {
            self.probes += 1;
            self.last = Some(now);
        }
        Pass { epoch: self.epoch, probe: self.failing }
    }

    /// The host has answered one well.
    pub(super) fn answers(&mut self) {
        self.failing &= self.breaking;
    }

    /// The host has failed one, before its answer or after it: it is left alone for up to `longest`.
    pub(super) fn fails(&mut self, pass: Pass, answered: bool, longest: Duration, share: f64, now: Instant) {
        if pass.epoch != self.epoch || longest.is_zero() {
            return;
        }
        let bound = FIRST.saturating_mul(1 << self.failures.min(20)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.epoch += 1;
        self.failing = true;
        self.breaking = answered;
        self.pause = Some(now + bound.mul_f64(0.5 + share / 2.0));
    }

    /// The host asks to be left alone.
    pub(super) fn waits(&mut self, wait: Duration, now: Instant) {
        let until = now.checked_add(wait).unwrap_or(now + FAR);
        self.asked = Some(self.asked.map_or(until, |asked| asked.max(until)));
        // Afterwards it is asked by one before it is by all.
        self.failing = true;
        self.pause = None;
        self.epoch += 1;
    }

    /// The host asks to be left alone for longer than anyone would wait.
    pub(super) fn shuts(&mut self, wait: Duration, failure: Failure, now: Instant) {
        let until = now.checked_add(wait).unwrap_or(now + FAR);
        if self.shut.as_ref().is_none_or(|(shut, _)| *shut < until) {
            self.shut = Some((until, failure));
        }
    }

    /// One has ended; in a good way, or in one that says nothing.
    pub(super) fn ends(&mut self, pass: Pass, good: bool) {
        if pass.probe {
            self.probes -= 1;
        }
        if good {
            self.failures = 0;
            (self.failing, self.breaking) = (false, false);
        }
    }

    /// Tells whether nothing is known of the host that still matters.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let old = |moment: Option<Instant>| moment.is_none_or(|moment| moment + MEMORY <= now);
        let shut = self.shut.as_ref().map(|(until, _)| *until);
        self.probes == 0 && old(self.asked) && old(self.pause) && old(self.last) && old(shut)
    }
}

/// Makes the failure of a host that asks for more than is waited for.
pub(super) fn too_long(host: &str, wait: Duration, longest: Duration, failure: Failure) -> Failure {
    let (wait, longest) = (spoken(wait), spoken(longest));
    let message = format!("{host} asks to be left alone for {wait}, longer than the {longest} allowed");
    failure.message(message).transient(false)
}

/// Makes the failure of a request whose deadline comes before its host may be asked.
pub(super) fn too_late(host: &str, asked: Option<Duration>, left: Duration) -> Failure {
    let left = spoken(left);
    let message = match asked {
        Some(wait) => {
            let wait = spoken(wait);
            format!("{host} asks to be left alone for {wait}, longer than the {left} until the deadline")
        }
        None => format!("{host} fails, and the {left} until the deadline are too short to ask it again"),
    };
    Failure::new(ErrorKind::Timeout, message).transient(false)
}

/// Writes a time as people do: `2h`, `1m30s`, `0.4s`.
pub(crate) fn spoken(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{:.1}s", time.as_secs_f64());
    }
    // Rounded up, so that what is left of a time is never less than it is.
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = SECOND;

    fn until(hold: &Hold, since: Instant, now: Instant) -> Option<Duration> {
        match hold.stop(since, PATIENCE, now) {
            None => None,
            Some(Stop::Until(until)) => Some(until - now),
            Some(Stop::Shut(failure)) => panic!("{failure}"),
        }
    }

    #[test]
    fn a_host_that_fails_again_and_again_is_left_alone_for_longer_up_to_a_second() {
        let (mut hold, mut now, mut pauses) = (Hold::default(), Instant::now(), Vec::new());
        for _ in 0..8 {
            let pass = hold.enter(now);
            hold.fails(pass, false, SECOND, 1.0, now);
            hold.ends(pass, false);
            let pause = until(&hold, now, now).unwrap();
            pauses.push(pause.as_millis());
            now += pause;
            assert_eq!(until(&hold, now, now), None);
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
        let pass = hold.enter(now);
        hold.fails(pass, false, SECOND, 0.0, now);
        hold.ends(pass, false);
        assert_eq!(until(&hold, now, now), Some(SECOND / 2));
    }

    #[test]
    fn failures_of_requests_that_were_under_way_together_count_once() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        let passes: Vec<_> = (0..8).map(|_| hold.enter(now)).collect();
        for pass in passes {
            hold.fails(pass, false, SECOND, 1.0, now);
            hold.ends(pass, false);
        }
        assert_eq!(until(&hold, now, now), Some(FIRST));
    }

    #[test]
    fn one_probe_at_a_time_asks_a_failing_host_and_its_answer_frees_all() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        let pass = hold.enter(start);
        hold.fails(pass, false, SECOND, 1.0, start);
        hold.ends(pass, false);
        let now = start + FIRST;
        assert_eq!(until(&hold, start, now), None);
        let probe = hold.enter(now);
        assert_eq!(until(&hold, start, now), Some(PATIENCE - FIRST));
        hold.answers();
        assert_eq!(until(&hold, start, now), None);
        // It breaks off after its head: from now on only a whole body is a good sign.
        hold.fails(probe, true, SECOND, 1.0, now);
        hold.ends(probe, false);
        assert_eq!(until(&hold, now, now), Some(FIRST * 2));
        let now = now + FIRST * 2;
        let probe = hold.enter(now);
        hold.answers();
        assert_eq!(until(&hold, now, now), Some(PATIENCE));
        hold.ends(probe, true);
        assert_eq!(until(&hold, now, now), None);
        let pass = hold.enter(now);
        hold.fails(pass, false, SECOND, 1.0, now);
        assert_eq!(until(&hold, now, now), Some(FIRST));
    }

    #[test]
    fn a_probe_that_ends_without_a_word_lets_the_next_one_go() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        let pass = hold.enter(start);
        hold.fails(pass, false, SECOND, 1.0, start);
        hold.ends(pass, false);
        let now = start + SECOND / 2;
        let probe = hold.enter(now);
        assert!(until(&hold, now, now).is_some());
        hold.ends(probe, false);
        assert_eq!(until(&hold, now, now), None);
    }

    #[test]
    fn nobody_waits_for_a_failing_host_longer_than_its_patience_but_one_goes_after_the_other() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        let mut now = start;
        for _ in 0..20 {
            let pass = hold.enter(now);
            hold.fails(pass, false, SECOND * 60, 1.0, now);
            hold.ends(pass, false);
            now += Duration::from_millis(1);
        }
        let now = start + PATIENCE;
        assert_eq!(until(&hold, start, now), None);
        let _probe = hold.enter(now);
        assert_eq!(until(&hold, start, now), Some(SPACING));
        assert_eq!(until(&hold, start, now + SPACING), None);
    }

    #[test]
    fn a_host_that_asks_for_it_is_left_alone_by_all_and_then_probed_by_one() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        let pass = hold.enter(start);
        hold.waits(SECOND * 10, start);
        hold.waits(SECOND * 5, start);
        hold.ends(pass, false);
        // An answer to what was sent before changes nothing about that.
        hold.answers();
        assert_eq!(until(&hold, start, start), Some(SECOND * 10));
        assert_eq!(hold.asked(start + SECOND), Some(SECOND * 9));
        hold.waits(SECOND * 20, start);
        let now = start + SECOND * 20;
        assert_eq!(until(&hold, start, now), None);
        let _probe = hold.enter(now);
        assert_eq!(until(&hold, start, now), Some(PATIENCE));
    }

    #[test]
    fn a_host_that_asks_for_too_long_is_shut_until_then() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        let failure = Failure::from_status(StatusCode::TOO_MANY_REQUESTS);
        let failure = too_long("example.com", SECOND * 7_200, SECOND * 300, failure);
        hold.shuts(SECOND * 7_200, failure, start);
        let Some(Stop::Shut(failure)) = hold.stop(start, PATIENCE, start + SECOND) else {
            panic!("{hold:?}")
        };
        let message = "example.com asks to be left alone for 2h, longer than the 5m allowed";
        assert_eq!((failure.to_string().as_str(), failure.is_transient()), (message, false));
        assert_eq!((failure.status().unwrap().as_u16(), failure.wait()), (429, Some(SECOND * 7_199)));
        assert!(hold.stop(start, PATIENCE, start + SECOND * 7_200).is_none());
    }

    #[test]
    fn what_was_known_of_a_host_is_forgotten_when_it_is_old() {
        let (mut hold, start) = (Hold::default(), Instant::now());
        assert!(hold.is_idle(start));
        let pass = hold.enter(start);
        hold.fails(pass, false, SECOND, 1.0, start);
        hold.ends(pass, false);
        assert!(!hold.is_idle(start + SECOND) && hold.is_idle(start + SECOND * 62));
    }

    #[test]
    fn a_failure_says_something_about_the_host_or_nothing() {
        let status = |code: u16| Failure::from_status(StatusCode::from_u16(code).unwrap());
        let asking = |code: u16| status(code).retry_after(Some(SECOND));
        let of = |kind: ErrorKind| Says::of(&Failure::new(kind, ""), false);
        assert_eq!(Says::of(&asking(503), false), Says::Wait(SECOND));
        assert_eq!(Says::of(&asking(429), false), Says::Wait(SECOND));
        assert_eq!(Says::of(&status(429).retry_after(Some(Duration::ZERO)), false), Says::Fails);
        for code in [429, 502, 503, 504] {
            assert_eq!(Says::of(&status(code), false), Says::Fails);
        }
        for failure in [asking(404), status(404), status(403), status(500), status(416)] {
            assert_eq!(Says::of(&failure, false), Says::Answers, "{failure:?}");
        }
        assert_eq!(Says::of(&asking(502), false), Says::Fails);
        assert_eq!((of(ErrorKind::Connect), of(ErrorKind::Incomplete)), (Says::Fails, Says::Fails));
        assert_eq!((of(ErrorKind::Timeout), of(ErrorKind::Tls)), (Says::Fails, Says::Nothing));
        assert_eq!((of(ErrorKind::Cancelled), of(ErrorKind::Write)), (Says::Nothing, Says::Nothing));
        assert_eq!(Says::of(&ErrorKind::Timeout.into(), true), Says::Nothing);
        assert_eq!(Says::of(&ErrorKind::Incomplete.into(), true), Says::Fails);
        let late = Failure::new(ErrorKind::Timeout, "the deadline has passed").transient(false);
        assert_eq!(Says::of(&late, false), Says::Nothing);
    }

    #[test]
    fn what_pushes_back_is_told_from_what_fails_for_itself() {
        let status = |code: u16| is_pushback(&Failure::from_status(StatusCode::from_u16(code).unwrap()));
        assert_eq!([429, 503, 500, 502, 404].map(status), [true, true, false, false, false]);
        let of = |kind: ErrorKind| is_pushback(&Failure::new(kind, ""));
        assert!(of(ErrorKind::Connect) && of(ErrorKind::Timeout));
        assert!(!of(ErrorKind::Incomplete) && !of(ErrorKind::Tls) && !of(ErrorKind::Cancelled));
        assert!(!is_pushback(&Failure::new(ErrorKind::Timeout, "the deadline has passed").transient(false)));
        let plugin = Failure::new(ErrorKind::Status, "slow down").retry_after(Some(SECOND));
        assert!(is_pushback(&plugin));
    }

    #[test]
    fn of_those_that_were_under_way_together_one_is_news_and_a_probe_never() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        let (one, other) = (hold.enter(now), hold.enter(now));
        assert!(hold.is_news(one) && hold.is_news(other));
        hold.fails(one, false, SECOND, 1.0, now);
        assert!(!hold.is_news(other));
        let probe = hold.enter(now + FIRST);
        assert!(!hold.is_news(probe));
    }

    #[test]
    fn times_are_written_as_people_do() {
        let spoken = |milliseconds| spoken(Duration::from_millis(milliseconds));
        assert_eq!([spoken(7_200_000), spoken(90_000), spoken(400)], ["2h", "1m30s", "0.4s"]);
        assert_eq!([spoken(3_601_000), spoken(1_500), spoken(0)], ["1h1s", "2s", "0.0s"]);
        assert!(super::spoken(Duration::MAX).ends_with('s'));
    }
}
