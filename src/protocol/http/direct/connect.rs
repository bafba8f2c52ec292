//! Making connections, on the thread of the driver.

use std::net::TcpStream;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;
use tower_service::Service;
use url::Url;

use super::super::failure::{no_connection, unconnected};
use super::place;
use crate::failure::{ErrorKind, Failure};

/// Makes connections as the client library does: to all addresses of a name, those of both kinds side by side.
#[derive(Clone)]
pub(super) struct Connector {
    connector: HttpConnector<Names>,
    within: Duration,
}

impl Connector {
    pub(super) fn new(resolver: Arc<dyn Resolve>, within: Duration) -> Self {
        let mut connector = HttpConnector::new_with_resolver(Names(resolver));
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(within));
        // As the library does it: who is gone without a word is found out about after a minute.
        connector.set_keepalive(Some(PROBE));
        connector.set_keepalive_interval(Some(PROBE));
        connector.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(PROBE * 2));
        Self { connector, within }
    }

    /// Connects to the host of a URL, for who reads and writes it by blocking.
    pub(super) async fn connect(mut self, url: Url) -> Result<TcpStream, Failure> {
        let other = |error: &(dyn std::error::Error + 'static)| unconnected(error, &url);
        let target = Uri::from_str(&format!("http://{}", place(&url))).map_err(|error| other(&error))?;
        let connecting = timeout(self.within, self.connector.call(target)).await;
        let connected = connecting.map_err(|_| no_connection(&url))?.map_err(|error| other(&error))?;
        let stream = connected.into_inner().into_std().map_err(|error| other(&error))?;
        stream.set_nonblocking(false).map_err(|error| other(&error))?;
        Ok(stream)
    }
}

const PROBE: Duration = Duration::from_secs(15);

/// A resolver of the client library's kind, as its connector asks it.
#[derive(Clone)]
struct Names(Arc<dyn Resolve>);

impl Service<dns::Name> for Names {
    type Response = Addrs;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Resolving;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Resolving {
        match Name::from_str(name.as_str()) {
            Ok(name) => self.0.resolve(name),
            Err(_) => Box::pin(async { Err(Failure::from(ErrorKind::Unsupported).into()) }),
        }
    }
}
