//! Resolving names for the client library's connector.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::Guard;
use crate::settings::Resolver;

/// Hands to the connector only what a guard lets through, of what another resolver finds.
pub(super) struct Guarded {
    guard: Arc<Guard>,
    resolver: Arc<dyn Resolve>,
}

impl Guarded {
    /// Guards the resolver of the settings, or that of the system.
    pub(super) fn new(guard: Guard, resolver: Option<&Resolver>) -> Self {
        let resolver = resolver.map_or_else(|| Arc::new(System) as _, Resolver::shared);
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

/// Resolves names as the system does.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The connector knows the port.
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
