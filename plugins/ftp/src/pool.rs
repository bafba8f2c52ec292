//! Sessions that nobody uses at the moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ganymede::{Context, Failure, Hook, SlotKey, Timing};
use parking_lot::Mutex;
use url::Host;

use crate::session::Session;
use crate::settings::Settings;
use crate::target::{Account, Security, Target};

/// The most sessions that are kept for one server and account.
const MOST: usize = 16;

/// How long one is kept: servers leave after a while, and what is between forgets it without a word.
const LONGEST: Duration = Duration::from_secs(60);

/// Everything that two requests must agree on to use the same sessions.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    security: Security,
    host: Host,
    port: u16,
    account: Account,
    settings: Arc<Settings>,
}

impl SlotKey for Key {
    type Value = Pool;
}

/// The idle sessions of one server and account, the one used last at the end.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<(Instant, Session)>>);

/// A session that serves a request.
pub(crate) struct Lease {
    pub(crate) session: Session,
    /// Whether it has served another one before.
    pub(crate) used: bool,
    pool: Arc<Pool>,
    hook: Hook,
}

impl Pool {
    /// Returns the pool of a target.
    pub(crate) fn of(
        target: &Target,
        settings: &Arc<Settings>,
        context: &Context,
    ) -> Result<Arc<Self>, Failure> {
        let key = Key {
            security: target.security,
            host: target.host.clone(),
            port: target.port,
            account: target.account.clone(),
            settings: Arc::clone(settings),
        };
        context.slot(key, |_| Ok(Self::default()))
    }

    /// Takes a session that is there, or makes one.
    pub(crate) fn lease(
        self: &Arc<Self>,
        target: &Target,
        settings: &Arc<Settings>,
        context: &Context,
        timing: &mut Timing,
    ) -> Result<Lease, Failure> {
        let pool = Arc::clone(self);
        while let Some(session) = self.take() {
            if let Some(hook) = session.resume(context) {
                return Ok(Lease { session, used: true, pool, hook });
            }
        }
        let (session, hook) = Session::open(target, settings, context, timing)?;
        Ok(Lease { session, used: false, pool, hook })
    }

    fn take(&self) -> Option<Session> {
        let mut idle = self.0.lock();
        let old = idle.iter().position(|(since, _)| since.elapsed() < LONGEST).unwrap_or(idle.len());
        let old: Vec<_> = idle.drain(..old).collect();
        let taken = idle.pop();
        // Closing them may take a moment: not under the lock.
        drop(idle);
        drop(old);
        taken.map(|(_, session)| session)
    }

    fn give(&self, session: Session) {
        let mut idle = self.0.lock();
        let full = (idle.len() >= MOST).then(|| idle.remove(0));
        idle.push((Instant::now(), session));
        drop(idle);
        drop(full);
    }
}

impl Lease {
    /// Gives the session back, for the next request.
    pub(crate) fn give_back(self) {
        let Self { session, pool, hook, .. } = self;
        drop(hook);
        if session.end() {
            pool.give(session);
        }
    }
}
