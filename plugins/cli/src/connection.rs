//! The settings of connections, checked before any is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ganymede::reqwest::{self, Certificate, Identity};
use ganymede::{Context, ErrorKind, Factory, Failure, Http, Protocol, Reply, Request, Url};

use crate::arguments::{Connection, Patience};
use crate::item::masked;
use crate::netrc::{Netrc, WithNetrc};
use crate::settings::Usage;

/// Makes HTTP with the settings that the command line asks for, but for credentials.
pub(crate) fn http(connection: &Connection, patience: &Patience) -> Result<Http, Usage> {
    let mut http = Http::new()
        .connect_timeout(patience.connect_timeout)
        .read_timeout(patience.read_timeout)
        .max_redirects(connection.max_redirects)
        .verify(!connection.insecure);
    for header in &connection.headers {
        let (name, value) = parse_header(header)?;
        http = http.header(name, value);
    }
    if connection.http1_only {
        http = http.http1_only();
    }
    http = match connection.proxy.as_deref() {
        None => http,
        Some("none") => http.no_proxy(),
        Some(proxy) => http.proxy(check_proxy(proxy)?),
    };
    certified(http, connection)
}

/// Makes the protocols with the settings that the command line asks for.
pub(crate) fn factory(http: Http, connection: &Connection, public_only: bool) -> Result<Factory, Usage> {
    let known = Factory::new();
    let known = if public_only { known.register("file", forbidden) } else { known };
    let http = credentialed(http, connection)?;
    Ok(known.register("http", Arc::clone(&http)).register("https", http))
}

/// Adds the credentials that the command line asks for.
pub(crate) fn credentialed(http: Http, connection: &Connection) -> Result<Arc<dyn Protocol>, Usage> {
    if let Some((user, password)) = user(connection)? {
        return Ok(Arc::new(http.user(user, password)));
    }
    if let Some(file) = &connection.bearer_file {
        return Ok(Arc::new(http.bearer_token(secret(file, "--bearer-file")?)));
    }
    match netrc(connection)? {
        Some(netrc) => Ok(Arc::new(WithNetrc::new(http, netrc))),
        None => Ok(Arc::new(http)),
    }
}

/// Returns the names and passwords by host, if they are wanted.
pub(crate) fn netrc(connection: &Connection) -> Result<Option<Netrc>, Usage> {
    if !connection.netrc {
        return Ok(None);
    }
    let file = Netrc::file().ok_or("--netrc: there is no home folder: set NETRC to the file")?;
    let netrc = Netrc::read(&file).map_err(|reason| format!("--netrc: {reason}"))?;
    Ok(Some(netrc))
}

/// Stands for the files of this machine where only what is public may be asked for.
fn forbidden(_: &Request, _: &Context) -> Result<Reply, Failure> {
    Err(Failure::new(ErrorKind::Forbidden, "the files of this machine are not public"))
}

fn parse_header(header: &str) -> Result<(String, String), Usage> {
    let Some((name, value)) = header.split_once(':') else {
        // The rest may be a secret.
        let start = header.split_whitespace().next().unwrap_or_default();
        return Err(format!("--header {start:?}: a header is written like \"Accept: text/plain\"").into());
    };
    let (name, value) = (name.trim(), value.trim());
    let mut request = Request::new(any_url()?);
    request.set_header(name, value).map_err(|failure| format!("--header: {failure}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn any_url() -> Result<Url, Usage> {
    crate::item::url("http://example.com/").map_err(Usage::from)
}

fn check_proxy(proxy: &str) -> Result<&str, Usage> {
    let bad = |reason: String| format!("--proxy {:?}: {reason}", masked(proxy));
    let url = Url::parse(proxy).map_err(|error| bad(format!("it is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must start with http:// or https://".to_owned()).into());
    }
    Ok(proxy)
}

/// Returns the name and the password of --user.
pub(crate) fn user(connection: &Connection) -> Result<Option<(String, String)>, Usage> {
    let Some(user) = &connection.user else { return Ok(None) };
    match (user.split_once(':'), &connection.password_file) {
        (None, Some(file)) => Ok(Some((user.clone(), secret(file, "--password-file")?))),
        (Some((name, password)), None) => Ok(Some((name.to_owned(), password.to_owned()))),
        (None, None) => {
            Err(format!("--user {user:?}: write NAME:PASSWORD, or add --password-file FILE").into())
        }
        (Some((name, _)), Some(_)) => {
            Err(format!("--user {name}:..: with --password-file, write the name alone").into())
        }
    }
}

/// Reads a secret from a file, without the end of its line.
fn secret(file: &Path, option: &str) -> Result<String, Usage> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{option}: cannot read {}: {error}", file.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.contains(['\r', '\n', '\0']) {
        return Err(format!("{option}: {} has more than one line", file.display()).into());
    }
    Ok(secret.to_owned())
}

/// Sets the certificates, after the client library has accepted them.
fn certified(mut http: Http, connection: &Connection) -> Result<Http, Usage> {
    let mut builder = reqwest::Client::builder();
    let mut trusted = Vec::new();
    for file in &connection.ca_certificates {
        let found = Certificate::from_pem_bundle(&read(file, "--ca-certificate")?).unwrap_or_default();
        if found.is_empty() {
            let reason = "holds no certificate in PEM form";
            return Err(format!("--ca-certificate: {} {reason}", file.display()).into());
        }
        trusted.extend(found);
        http = http.ca_certificate(file);
    }
    // Without the system's certificates, which take a while to load and are not what is checked here.
    builder = builder.tls_certs_only(trusted);
    if let Some(certificate) = &connection.client_certificate {
        let key = connection.client_key.as_ref().unwrap_or(certificate);
        builder = builder.identity(identity(certificate, key)?);
        http = http.client_certificate(certificate, key);
    }
    if !connection.ca_certificates.is_empty() || connection.client_certificate.is_some() {
        builder.build().map_err(|error| {
            let mut root: &dyn std::error::Error = &error;
            while let Some(source) = root.source() {
                root = source;
            }
            let files = connection.ca_certificates.iter().chain(&connection.client_certificate);
            let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
            format!("the certificates in {} cannot be used: {root}", files.join(", "))
        })?;
    }
    Ok(http)
}

fn identity(certificate: &PathBuf, key: &PathBuf) -> Result<Identity, Usage> {
    let mut pem = read(certificate, "--client-certificate")?;
    if key != certificate {
        pem.push(b'\n');
        pem.extend(read(key, "--client-key")?);
    }
    // The library's error quotes nothing of the files, but they hold a key.
    Identity::from_pem(&pem).map_err(|_| {
        let (certificate, key) = (certificate.display(), key.display());
        let text =
            format!("--client-certificate: no certificate ({certificate}) and key ({key}) in PEM form");
        text.into()
    })
}

fn read(file: &Path, option: &str) -> Result<Vec<u8>, Usage> {
    fs::read(file).map_err(|error| format!("{option}: cannot read {}: {error}", file.display()).into())
}
