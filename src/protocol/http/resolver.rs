//! Resolving names for the client library's connector.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::connecting::Connecting;
use crate::guard::Guard;
use crate::settings::Resolver;

/// Hands to the connector only what a guard lets through, of what another resolver finds.
pub(super) struct Guarded {
    guard: Arc<Guard>,
    resolver: Arc<dyn Resolve>,
}

impl Guarded {
    pub(super) fn new(guard: Guard, resolver: Arc<dyn Resolve>) -> Self {
        Self { guard: Arc::new(guard), resolver }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, host) = (Arc::clone(&self.guard), name.as_str().to_owned());
        let resolving = self.resolver.resolve(name);
        Box::pin(async move {
            let admitted = guard.admit(&host, resolving.await?)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Tells the request that needs them how long names take to be resolved.
pub(super) struct Timed(Arc<dyn Resolve>);

impl Timed {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self(resolver)
    }
}

impl Resolve for Timed {
    fn resolve(&self, name: Name) -> Resolving {
        // Also when it is given up: for a time-out, say.
        let took = Took { connecting: Connecting::current(), start: Instant::now() };
        let resolving = self.0.resolve(name);
        Box::pin(async move {
            let resolved = resolving.await;
            drop(took);
            resolved
        })
    }
}

struct Took {
    connecting: Connecting,
    start: Instant,
}

impl Drop for Took {
    fn drop(&mut self) {
        self.connecting.resolved(self.start.elapsed());
    }
}

/// Returns the resolver of the settings, or that of the system.
pub(super) fn resolver(given: Option<&Resolver>) -> Arc<dyn Resolve> {
    given.map_or_else(|| Arc::new(System) as _, Resolver::shared)
}

/// Resolves names as the system does.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The connector knows the port.
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
