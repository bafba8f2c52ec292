//! What a URL names: a server, how it is spoken to, and a file of it.

use ganymede::{Credentials, ErrorKind, Failure, Request};
use percent_encoding::percent_decode_str;
use url::Host;

use crate::settings::{Explicit, Settings};

/// How the connection is made secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Security {
    /// On a plain connection, once `AUTH TLS` is answered well (RFC 4217).
    Explicit(Explicit),
    /// From its first byte.
    Implicit,
}

/// Who logs in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What a request asks for.
pub(crate) struct Target {
    pub(crate) security: Security,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) account: Account,
    /// The path of the file as the server is told it, byte for byte.
    pub(crate) path: Vec<u8>,
}

impl Target {
    /// Reads the URL of a request (RFC 1738 §3.2).
    pub(crate) fn of(request: &Request, settings: &Settings) -> Result<Self, Failure> {
        let url = request.display_url();
        let unsupported = |what: &str| Failure::new(ErrorKind::Unsupported, format!("{url} {what}"));
        let (security, port) = match url.scheme() {
            "ftp" => (Security::Explicit(settings.explicit), 21),
            "ftpes" => (Security::Explicit(Explicit::Required), 21),
            "ftps" => (Security::Implicit, 990),
            _ => return Err(unsupported("is not an ftp, ftps or ftpes URL")),
        };
        let host = match url.host() {
            // In a URL of a scheme that the parser does not know, it is as it was written.
            Some(Host::Domain(name)) if !name.is_empty() => {
                Host::parse(name).map_err(|error| unsupported("names no host").caused_by(error))?
            }
            Some(Host::Ipv4(address)) => Host::Ipv4(address),
            Some(Host::Ipv6(address)) => Host::Ipv6(address),
            _ => return Err(unsupported("names no host")),
        };
        let path = path(url.path()).map_err(|what| unsupported(&what))?;
        let account = account(request, settings);
        if [&account.user, &account.password].iter().any(|text| text.contains(['\r', '\n', '\0'])) {
            return Err(unsupported("is to be logged in to with characters that no command may hold"));
        }
        Ok(Self { security, host, port: url.port().unwrap_or(port), account, path })
    }
}

/// Returns who logs in: another origin than the caller's is told nothing of the settings.
fn account(request: &Request, settings: &Settings) -> Account {
    let own = || settings.credentials.clone().filter(|_| request.is_trusted());
    match request.credentials().or_else(own) {
        Some(Credentials::Password { user, password }) => Account { user, password },
        // By custom, the password of nobody in particular is an address (RFC 1635).
        _ => Account { user: "anonymous".to_owned(), password: "anonymous@example.com".to_owned() },
    }
}

/// Reads the path of a URL, or says what is wrong with it.
///
/// Its first slash only ends the host, so that it begins in the folder of the login; a second one, or `%2F`, is the
/// root's.
fn path(path: &str) -> Result<Vec<u8>, String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (path, kind) = match path.rsplit_once(";type=") {
        Some((path, kind)) => (path, kind),
        None => (path, "i"),
    };
    if !kind.eq_ignore_ascii_case("i") {
        return Err(format!("asks for ;type={kind}, and files are only fetched as they are (;type=i)"));
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    if decoded.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err("has a path with characters that no command may hold".to_owned());
    }
    if decoded.is_empty() || decoded.ends_with(b"/") {
        return Err("names a folder, and only files can be fetched".to_owned());
    }
    Ok(decoded)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, Failure> {
        Target::of(&Request::get(url).unwrap(), &Settings::default())
    }

    #[test]
    fn a_path_begins_in_the_folder_of_the_login_or_at_the_root() {
        for (url, path) in [
            ("ftp://example.com/a/b.iso", &b"a/b.iso"[..]),
            ("ftp://example.com/%2Fetc/motd", b"/etc/motd"),
            ("ftp://example.com//etc/motd", b"/etc/motd"),
            ("ftp://example.com/a%20b%25;type=i", b"a b%"),
            ("ftp://example.com/a;type=I", b"a"),
            ("ftp://example.com/caf%E9", b"caf\xe9"),
            ("ftp://example.com/%23%3F", b"#?"),
        ] {
            assert_eq!(target(url).unwrap().path, path, "{url}");
        }
    }

    #[test]
    fn what_names_no_file_is_refused_before_anything_is_sent() {
        for url in [
            "ftp://example.com/",
            "ftp://example.com",
            "ftp://example.com/pub/",
            "ftp://example.com/pub%2F",
            "ftp://example.com/a%0D%0ADELE%20b",
            "ftp://example.com/a%0ab",
            "ftp://example.com/a%00b",
            "ftp://example.com/a;type=a",
            "ftp://example.com/pub;type=d",
            "ftp://am%0Ay@example.com/a",
            "ftp://amy:se%0Dcret@example.com/a",
            "ftps:///a",
            "gopher://example.com/a",
        ] {
            let failure = target(url).err().unwrap();
            assert!(matches!(failure.kind(), ErrorKind::Unsupported), "{url}: {failure:?}");
            assert!(!failure.to_string().contains("cret"), "{failure}");
        }
    }

    #[test]
    fn the_scheme_says_how_the_connection_is_made_secure_and_the_port() {
        let of = |url| target(url).map(|target| (target.security, target.host.to_string(), target.port));
        let explicit = |explicit| Security::Explicit(explicit);
        assert_eq!(of("ftp://a/b").unwrap(), (explicit(Explicit::Off), "a".to_owned(), 21));
        assert_eq!(of("ftp://a:2121/b").unwrap().2, 2121);
        assert_eq!(of("ftpes://a/b").unwrap(), (explicit(Explicit::Required), "a".to_owned(), 21));
        assert_eq!(of("ftps://EXAMPLE.com/b").unwrap(), (Security::Implicit, "example.com".to_owned(), 990));
        assert_eq!(of("ftps://127.1:9/b").unwrap(), (Security::Implicit, "127.0.0.1".to_owned(), 9));
        assert_eq!(of("ftps://[::1]/b").unwrap().1, "[::1]");
    }

    #[test]
    fn credentials_of_the_request_win_and_those_of_the_settings_stay_at_home() {
        let mut settings = Settings { credentials: None, ..Settings::default() };
        let mut request = Request::get("ftp://example.com/a").unwrap();
        assert_eq!(account(&request, &settings).user, "anonymous");
        settings.credentials = Some(Credentials::password("amy", "secret"));
        assert_eq!(account(&request, &settings).password, "secret");
        request.follow(&"ftp://example.org/a".parse().unwrap()).unwrap();
        assert_eq!(account(&request, &settings).user, "anonymous");
        let request = Request::get("ftp://b%40b:p%2Fw@example.com/a").unwrap();
        let account = account(&request, &settings);
        assert_eq!((account.user.as_str(), account.password.as_str()), ("b@b", "p/w"));
    }
}
