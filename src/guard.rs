//! Keeping downloads away from addresses that are not public.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::failure::{ErrorKind, Failure};
use crate::network::not_public;

/// Which addresses may be connected to: for servers that fetch what others name.
///
/// Whoever names a URL to such a server, or a redirect on the way, must not reach the server's own machine and
/// network by it. `public_only` refuses loopback, private, link-local and reserved addresses, those of clouds' own
/// services, and each IPv6 address that stands for such an IPv4 address, with [`ErrorKind::Forbidden`].
///
/// It is checked where the connection is made: of the addresses that a name has at that moment, those that are
/// refused are left out, and if none is left it fails; addresses in URLs are checked at every redirect, however they
/// are written. So neither a redirect nor a name that changes its address leads around it.
///
/// It is a setting of [`Http`](crate::Http) and guards what goes through that: give the same `Http` to the
/// [`Factory`](crate::Factory) and to the [mirror list](crate::MirrorDelegate::protocol). A `Factory` knows the scheme
/// `file`, too; do not let others name URLs of all its schemes.
///
/// A plugin that makes connections of its own has a setting for one, too: it asks [`check`](Self::check) before a URL is
/// asked for, also for one that a server has named, and connects to what [`admit`](Self::admit) returns, and to nothing
/// that it has resolved anew:
///
/// ```
/// use std::net::{TcpStream, ToSocketAddrs};
/// use ganymede::{ErrorKind, Failure, Guard, Request};
///
/// fn connect(request: &Request, guard: &Guard) -> Result<TcpStream, Failure> {
///     guard.check(request.url())?;
///     let (name, port) = (request.url().host_str().unwrap_or_default(), request.url().port().unwrap_or(21));
///     let addresses = guard.admit(name, (name, port).to_socket_addrs()?)?;
///     Ok(TcpStream::connect(&*addresses)?)
/// }
///
/// let request = Request::get("ftp://127.0.0.1/file")?;
/// let failure = connect(&request, &Guard::public_only()).unwrap_err();
/// assert!(matches!(failure.kind(), ErrorKind::Forbidden));
/// # Ok::<(), Failure>(())
/// ```
///
/// With a guard, no proxy is taken from the environment, since it would resolve names by itself. One that is
/// [set](crate::Http::proxy) is used, wherever it is; then addresses in URLs and the name `localhost` are checked, but
/// where other names lead is for the proxy to check.
///
/// ```
/// use ganymede::{BufferWriter, Context, Download, Guard, Http, Request, Transfer};
///
/// let http = Http::new().guard(Guard::public_only().allow("mirror.internal"));
/// let request = Request::get("http://127.0.0.1:6379/")?;
/// let mut download = Transfer::new(request, http).writer(BufferWriter::new(1024));
/// let error = download.run(&Context::new()).unwrap_err();
/// assert_eq!((error.kind().name(), error.gateway_status().as_u16()), ("forbidden", 403));
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Guard {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Guard {
    /// Lets only public addresses through.
    #[must_use]
    pub fn public_only() -> Self {
        Self { names: BTreeSet::new(), addresses: BTreeSet::new() }
    }

    /// Exempts a host: a name, wherever that leads, or an address, whatever leads there.
    ///
    /// Names of hosts below it are not meant. What is no host exempts nothing.
    #[must_use]
    pub fn allow(mut self, host: &str) -> Self {
        let host = host.trim();
        let host = host.parse().map_or_else(|_| Host::parse(host).ok(), |address| Some(of_address(address)));
        match host {
            Some(Host::Domain(name)) => drop(self.names.insert(plain(&name).to_owned())),
            Some(Host::Ipv4(address)) => drop(self.addresses.insert(address.into())),
            Some(Host::Ipv6(address)) => drop(self.addresses.insert(IpAddr::V6(address).to_canonical())),
            None => {}
        }
        self
    }

    /// Checks what a URL itself says of its address, which is all that can be known before its name is resolved.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] if that may not be reached.
    pub fn check(&self, url: &Url) -> Result<(), Failure> {
        let host = url.host().map(|host| host.to_owned());
        // In a URL of a scheme that the parser does not know, an address is taken for a name.
        let host = host.map(|host| match host {
            Host::Domain(name) => Host::parse(&name).unwrap_or(Host::Domain(name)),
            address => address,
        });
        let address = match host {
            Some(Host::Ipv4(address)) => IpAddr::from(address),
            Some(Host::Ipv6(address)) => IpAddr::from(address),
            Some(Host::Domain(name)) if self.refuses_local(plain(&name)) => {
                return Err(refusal(&format!("{name} is this machine")));
            }
            _ => return Ok(()),
        };
        let refused = |reason| Err(refusal(&format!("{address} is {reason}")));
        self.refused(address).map_or(Ok(()), refused)
    }

    /// Returns the addresses of a name that may be connected to, of those that it has.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] if there are some, and none of them may be.
    pub fn admit(
        &self,
        name: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let name = plain(name);
        if self.names.contains(&name.to_ascii_lowercase()) {
            return Ok(addresses.into_iter().collect());
        }
        let mut refused = None;
        let admitted = addresses.into_iter().filter(|address| match self.refused(address.ip()) {
            None => true,
            Some(reason) => {
                refused.get_or_insert((address.ip(), reason));
                false
            }
        });
        let admitted: Vec<SocketAddr> = admitted.collect();
        match refused {
            Some((address, reason)) if admitted.is_empty() => {
                Err(refusal(&format!("{name} leads to {address}, {reason}")))
            }
            _ => Ok(admitted),
        }
    }

    fn refused(&self, address: IpAddr) -> Option<&'static str> {
        not_public(address).filter(|_| !self.addresses.contains(&address.to_canonical()))
    }

    /// Tells whether a name is one of this machine by definition (RFC 6761 §6.3), whoever resolves it.
    fn refuses_local(&self, name: &str) -> bool {
        let local = name == "localhost" || name.ends_with(".localhost");
        let allowed = self.names.contains(name) || self.addresses.iter().any(IpAddr::is_loopback);
        local && !allowed
    }
}

/// Returns a name without the dot that stands for the root of all names, however often it was written.
fn plain(name: &str) -> &str {
    name.trim_end_matches('.')
}

fn of_address(address: IpAddr) -> Host {
    match address {
        IpAddr::V4(address) => Host::Ipv4(address),
        IpAddr::V6(address) => Host::Ipv6(address),
    }
}

fn refusal(what: &str) -> Failure {
    let message =
        format!("{what}, and only public addresses may be reached: if it is meant, allow it (Guard::allow)");
    Failure::new(ErrorKind::Forbidden, message)
}
