//! Where clients find the server.

use std::io::{self, ErrorKind};

use tokio::net::TcpListener;

use crate::settings::Usage;

/// Listens at all these places.
pub(crate) async fn listen(places: &[String]) -> Result<Vec<TcpListener>, Usage> {
    let mut listeners = Vec::with_capacity(places.len());
    for place in places {
        let named = |reason: String| format!("--listen {place}: {reason}");
        check(place).map_err(named)?;
        listeners.push(TcpListener::bind(place).await.map_err(|error| named(explained(&error)))?);
    }
    Ok(listeners)
}

/// Refuses what names no place, before anything is looked up.
fn check(place: &str) -> Result<(), String> {
    let named = place.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    match named {
        // An address of IPv6 alone has colons, too.
        Some((host, _)) if !host.contains(':') || (host.starts_with('[') && host.ends_with(']')) => Ok(()),
        _ => Err("write an address and a port, like 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080".to_owned()),
    }
}

fn explained(error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there: end it, or choose another port",
        ErrorKind::PermissionDenied => "ports below 1024 are for the system's administrator: choose another",
        ErrorKind::AddrNotAvailable => "it is no address of this machine",
        _ => "it must be a name or an address of this machine",
    };
    format!("{error}: {advice}")
}

/// Lets this process have as many connections as the system allows it, which is more than it has at first.
pub(crate) fn allow_many() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // Where it cannot be, those that are too many wait to be accepted.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_place_has_a_host_and_a_port() {
        for place in ["127.0.0.1:0", "[::1]:8080", "localhost:80"] {
            assert_eq!(check(place), Ok(()), "{place}");
        }
        for place in ["8080", ":8080", "localhost", "::1:8080", "a:b", "a:65536", "http://a:80", ""] {
            assert!(check(place).is_err(), "{place}");
        }
    }
}
