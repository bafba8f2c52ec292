//! Who may send a request to which host, and who waits for that.

use std::collections::{HashMap, VecDeque};
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use url::Url;

use super::hold::{Hold, Pass, Says, Stop, is_pushback, too_late, too_long};
use super::rate::{Meter, Rate};
use super::{Limits, Permit, host, shown};
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::parking::Parking;
use crate::request::Request;

/// How long a download waits for a host that fails, before it asks it in any case.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many hosts are remembered before those are looked for that need not be.
const MANY: usize = 256;

/// The places that a context's limits leave, shared by all its children.
pub(crate) struct Places {
    limits: Limits,
    state: Mutex<State>,
    rate: Option<Arc<Mutex<Rate>>>,
    /// How often a host has shown that it is asked for too much at once.
    congestions: AtomicU64,
}

#[derive(Default)]
struct State {
    taken: usize,
    waiting: usize,
    hosts: HashMap<Arc<str>, Host>,
    /// How many hosts there are when they are tidied up next.
    many: usize,
}

struct Host {
    name: String,
    taken: usize,
    /// Whether it has ever answered well.
    served: bool,
    hold: Hold,
    queue: VecDeque<Arc<Waiter>>,
    rate: Option<Arc<Mutex<Rate>>>,
}

/// Who wants a place: since when, how long for a host that fails, and until when at most.
#[derive(Clone, Copy)]
struct Claim {
    since: Instant,
    patience: Duration,
    deadline: Option<Instant>,
}

/// One who waits for a place, in the queue of a host.
struct Waiter {
    claim: Claim,
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    verdict: Option<Result<Pass, Failure>>,
    /// Something has changed: look again.
    poked: bool,
}

/// What stands between a waiter and its place.
enum Bar {
    /// Others, who will say when they go.
    Others,
    Until(Instant),
    Never(Failure),
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Self {
        let rate = limits.rate.map(|rate| Rate::new(rate.get(), Instant::now()));
        let rate = rate.map(|rate| Arc::new(Mutex::new(rate)));
        Self { limits, state: Mutex::default(), rate, congestions: AtomicU64::new(0) }
    }

    /// Returns how often a host that had answered before, and had most of what was asked for at the time, has shown
    /// that this is too much at once.
    pub(crate) fn congestions(&self) -> u64 {
        self.congestions.load(Ordering::Relaxed)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Waits for a place for a connection to the host of a request.
    pub(crate) fn take(self: &Arc<Self>, request: &Request, context: &Context) -> Result<Permit, Failure> {
        context.check()?;
        let now = Instant::now();
        // Not all at the same moment.
        let patience = self.limits.backoff.min(PATIENCE).mul_f64(0.5 + rand::random::<f64>() / 2.0);
        let claim = Claim { since: now, patience, deadline: request.deadline() };
        let (key, entered) = self.state.lock().enter(&self.limits, request.url(), claim);
        let pass = match entered {
            Ok(pass) => pass,
            Err(waiter) => self.wait(&key, &waiter, request, context)?,
        };
        Ok(Permit { places: Arc::clone(self), host: key, pass, answered: false, failed: false })
    }

    fn wait(
        &self,
        key: &Arc<str>,
        waiter: &Arc<Waiter>,
        request: &Request,
        context: &Context,
    ) -> Result<Pass, Failure> {
        let weak = Arc::downgrade(waiter);
        let _hook = context.on_cancel(move || {
            if let Some(waiter) = weak.upgrade() {
                waiter.poke();
            }
        });
        let mut parking = Parking::new(context.token());
        loop {
            let now = Instant::now();
            let next = self.state.lock().look(&self.limits, key, Some(waiter), now);
            let look = parking.look(next.is_some(), now);
            if let Some(verdict) =
                waiter.wait([next, waiter.claim.deadline, look].into_iter().flatten().min())
            {
                return verdict;
            }
            if let Err(failure) = context.check().and_then(|()| request.check_deadline()) {
                self.withdraw(key, waiter);
                return Err(failure);
            }
        }
    }

    /// Takes one out of the queue who waits no more.
    fn withdraw(&self, key: &Arc<str>, waiter: &Arc<Waiter>) {
        let mut state = self.state.lock();
        if state.leave(key, waiter) {
            state.admit(&self.limits, key, Instant::now());
            return;
        }
        drop(state);
        let verdict = waiter.told.lock().verdict.take();
        if let Some(Ok(pass)) = verdict {
            self.release(key, pass, false);
        }
    }

    /// Gives a place back.
    pub(super) fn release(&self, key: &Arc<str>, pass: Pass, good: bool) {
        let mut state = self.state.lock();
        state.taken -= 1;
        if let Some(host) = state.hosts.get_mut(key) {
            host.taken -= 1;
            host.hold.ends(pass, good);
        }
        if state.waiting > 0 {
            state.admit_any(&self.limits, key, Instant::now());
        }
    }

    pub(super) fn answered(&self, key: &Arc<str>) {
        let mut state = self.state.lock();
        if let Some(host) = state.hosts.get_mut(key) {
            host.served = true;
            host.hold.answers();
            if !host.queue.is_empty() {
                state.admit(&self.limits, key, Instant::now());
            }
        }
    }

    /// Notes what a failure says about the host, and returns the failure that it is for the download.
    pub(super) fn failed(&self, permit: &mut Permit, failure: Failure) -> Failure {
        let now = Instant::now();
        let says = Says::of(&failure, permit.answered);
        if says == Says::Answers {
            permit.served();
            return failure;
        }
        let key = &permit.host;
        let mut state = self.state.lock();
        permit.failed = true;
        if is_pushback(&failure) && state.is_crowded(key, permit.pass) {
            self.congestions.fetch_add(1, Ordering::Relaxed);
        }
        let Some(host) = state.hosts.get_mut(key).filter(|_| says != Says::Nothing) else { return failure };
        let longest = self.limits.max_retry_after;
        let failure = match says {
            Says::Wait(wait) if wait > longest => {
                let failure = too_long(&host.name, wait, longest, failure);
                host.hold.shuts(wait, failure.clone(), now);
                failure
            }
            Says::Wait(wait) => {
                host.hold.waits(wait, now);
                failure
            }
            _ => {
                host.hold.fails(permit.pass, permit.answered, self.limits.backoff, rand::random(), now);
                if permit.pass.is_probe() && matches!(failure.kind(), ErrorKind::Connect) {
                    // They would fare no better.
                    let gone = take(&mut host.queue);
                    state.waiting -= gone.len();
                    gone.iter().for_each(|waiter| waiter.tell(Err(failure.clone())));
                    return failure;
                }
                failure
            }
        };
        state.expel(key, now);
        state.admit(&self.limits, key, now);
        failure
    }

    /// Returns what a body from this URL spends from, if there is a limit on its rate.
    pub(crate) fn meter(&self, url: &Url) -> Option<Meter> {
        if !self.limits.has_rate() {
            return None;
        }
        let now = Instant::now();
        let own = self.limits.rate_per_host.map(|rate| {
            let mut state = self.state.lock();
            let (_, host) = state.host(url, now);
            let new = || Arc::new(Mutex::new(Rate::new(rate.get(), now)));
            Arc::clone(host.rate.get_or_insert_with(new))
        });
        Some(Meter(own.into_iter().chain(self.rate.clone()).collect()))
    }
}

impl State {
    /// Returns what is known of the host of a URL, and its key.
    fn host(&mut self, url: &Url, now: Instant) -> (Arc<str>, &mut Host) {
        let key = host(url);
        if !self.hosts.contains_key(key.as_str()) && self.hosts.len() >= self.many.max(MANY) {
            self.hosts.retain(|_, host| !host.is_idle(now));
            self.many = self.hosts.len() * 2;
        }
        let key =
            self.hosts.get_key_value(key.as_str()).map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        let host = self.hosts.entry(Arc::clone(&key)).or_insert_with(|| Host {
            name: shown(url),
            taken: 0,
            served: false,
            hold: Hold::default(),
            queue: VecDeque::new(),
            rate: None,
        });
        (key, host)
    }

    /// Tells whether a host that pushes back may do so for the number of requests: where it is one of many, or has
    /// never answered, or is known to fail, that is no cure.
    fn is_crowded(&self, key: &str, pass: Pass) -> bool {
        let crowded = |host: &Host| host.served && host.hold.is_news(pass) && host.taken * 2 >= self.taken;
        self.hosts.get(key).is_some_and(crowded)
    }

    /// Lets one go to a host at once, or else puts it in the queue; one who would wait in vain is told so.
    fn enter(&mut self, limits: &Limits, url: &Url, claim: Claim) -> (Arc<str>, Result<Pass, Arc<Waiter>>) {
        let now = claim.since;
        let taken = self.taken;
        let (key, host) = self.host(url, now);
        let bar = host.bar(limits, taken, claim, now);
        if bar.is_none() && host.queue.is_empty() {
            host.taken += 1;
            let pass = host.hold.enter(now);
            self.taken += 1;
            return (key, Ok(pass));
        }
        let waiter = Arc::new(Waiter { claim, told: Mutex::default(), changed: Condvar::new() });
        if let Some(Bar::Never(failure)) = bar {
            waiter.tell(Err(failure));
        } else {
            host.queue.push_back(Arc::clone(&waiter));
            self.waiting += 1;
        }
        (key, Err(waiter))
    }

    /// Lets those go for whom there is a place, in the order in which they came; the next of them looks again, if it
    /// depends on the time.
    fn admit(&mut self, limits: &Limits, key: &str, now: Instant) {
        let _ = self.look(limits, key, None, now);
    }

    /// Does that for one who waits, and returns when it shall look again.
    fn look(
        &mut self,
        limits: &Limits,
        key: &str,
        waiter: Option<&Arc<Waiter>>,
        now: Instant,
    ) -> Option<Instant> {
        let host = self.hosts.get_mut(key)?;
        while let Some(first) = host.queue.front() {
            let verdict = match host.bar(limits, self.taken, first.claim, now) {
                None => {
                    host.taken += 1;
                    self.taken += 1;
                    Ok(host.hold.enter(now))
                }
                Some(Bar::Never(failure)) => Err(failure),
                Some(Bar::Until(until)) if waiter.is_some_and(|waiter| Arc::ptr_eq(first, waiter)) => {
                    return Some(until);
                }
                Some(Bar::Until(_)) => {
                    first.poke();
                    return None;
                }
                Some(Bar::Others) => return None,
            };
            first.tell(verdict);
            host.queue.pop_front();
            self.waiting -= 1;
        }
        None
    }

    /// Lets those go for whom a place that is free now is one: at its host, or at any if it counted for all.
    fn admit_any(&mut self, limits: &Limits, key: &str, now: Instant) {
        if limits.total.is_none() {
            self.admit(limits, key, now);
            return;
        }
        let heads = self
            .hosts
            .iter()
            .filter_map(|(key, host)| Some((host.queue.front()?.claim.since, Arc::clone(key))));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        for (_, key) in heads {
            self.admit(limits, &key, now);
        }
    }

    /// Tells those whose deadline comes too early that they wait in vain.
    fn expel(&mut self, key: &str, now: Instant) {
        let Some(host) = self.hosts.get_mut(key) else { return };
        let queue = take(&mut host.queue);
        for waiter in queue {
            if host.is_late(waiter.claim, now) {
                self.waiting -= 1;
                waiter.tell(Err(host.too_late(waiter.claim, now)));
            } else {
                host.queue.push_back(waiter);
            }
        }
    }

    /// Takes one out of the queue, if it is there.
    fn leave(&mut self, key: &str, waiter: &Arc<Waiter>) -> bool {
        let Some(host) = self.hosts.get_mut(key) else { return false };
        let Some(at) = host.queue.iter().position(|other| Arc::ptr_eq(other, waiter)) else { return false };
        host.queue.remove(at);
        self.waiting -= 1;
        true
    }
}

impl Host {
    fn bar(&self, limits: &Limits, taken: usize, claim: Claim, now: Instant) -> Option<Bar> {
        match self.hold.stop(claim.since, claim.patience, now) {
            Some(Stop::Shut(failure)) => return Some(Bar::Never(failure)),
            Some(Stop::Until(_)) if self.is_late(claim, now) => {
                return Some(Bar::Never(self.too_late(claim, now)));
            }
            Some(Stop::Until(until)) => return Some(Bar::Until(until)),
            None => {}
        }
        let full = limits.total.is_some_and(|total| taken >= total.get())
            || limits.per_host.is_some_and(|limit| self.taken >= limit.get());
        full.then_some(Bar::Others)
    }

    /// Tells whether the deadline of one comes before the host may be asked.
    fn is_late(&self, claim: Claim, now: Instant) -> bool {
        match (self.hold.stop(claim.since, claim.patience, now), claim.deadline) {
            (Some(Stop::Until(until)), Some(deadline)) => deadline <= until,
            _ => false,
        }
    }

    fn too_late(&self, claim: Claim, now: Instant) -> Failure {
        let left = claim.deadline.map(|deadline| deadline.saturating_duration_since(now));
        too_late(&self.name, self.hold.asked(now), left.unwrap_or_default())
    }

    fn is_idle(&self, now: Instant) -> bool {
        let spent = |rate: &Arc<Mutex<Rate>>| Arc::strong_count(rate) > 1 || !rate.lock().is_idle(now);
        self.taken == 0
            && self.queue.is_empty()
            && self.hold.is_idle(now)
            && !self.rate.as_ref().is_some_and(spent)
    }
}

impl Waiter {
    fn tell(&self, verdict: Result<Pass, Failure>) {
        self.told.lock().verdict = Some(verdict);
        self.changed.notify_one();
    }

    fn poke(&self) {
        self.told.lock().poked = true;
        self.changed.notify_one();
    }

    /// Waits until it is told or poked, or a moment has come.
    fn wait(&self, until: Option<Instant>) -> Option<Result<Pass, Failure>> {
        let mut told = self.told.lock();
        if told.verdict.is_none() && !take(&mut told.poked) {
            match until {
                Some(until) => drop(self.changed.wait_until(&mut told, until)),
                None => self.changed.wait(&mut told),
            }
        }
        told.poked = false;
        told.verdict.take()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn permit(context: &Context, host: &str) -> Permit {
        context.permit(&Request::get(&format!("http://{host}/")).unwrap()).unwrap()
    }

    fn refused(permit: &mut Permit) {
        let _ = permit.failed(Failure::from_status(StatusCode::TOO_MANY_REQUESTS));
    }

    #[test]
    fn a_host_is_crowded_that_has_answered_before_and_is_most_of_what_is_asked() {
        let context = Context::with_limits(Limits::new().backoff(Duration::from_nanos(1)));
        let mut first = permit(&context, "one");
        refused(&mut first);
        drop(first);
        assert_eq!(context.congestions(), 0, "it has never answered, to however few");
        permit(&context, "one").served();
        let mut together = [permit(&context, "one"), permit(&context, "one")];
        together.iter_mut().for_each(refused);
        assert_eq!(context.congestions(), 1, "those that were under way together count once");
        permit(&context, "one").served();
        let _others = ["two", "two", "two", "three"].map(|host| permit(&context, host));
        refused(&mut permit(&context, "one"));
        assert_eq!(context.congestions(), 1, "it is one of many");
        let mut two = permit(&context, "two");
        two.served();
        let _ = two.failed(ErrorKind::Timeout.into());
        assert_eq!(context.congestions(), 2, "a pause in a body is one, too");
    }
}
