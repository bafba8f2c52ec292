//! FTP, with the settings of the command line.

use std::sync::Arc;

use ganymede::{Context, ErrorKind, Factory, Failure, Guard, Protocol, Reply, Request};
use ganymede_ftp::Ftp;

use crate::arguments::{Connection, Patience};
use crate::connection::{netrc, user};
use crate::netrc::WithNetrc;
use crate::settings::Usage;

/// The schemes of FTP.
pub(crate) const SCHEMES: [&str; 3] = ["ftp", "ftps", "ftpes"];

/// Adds the schemes of FTP to those that are known.
pub(crate) fn register(known: Factory, ftp: &Arc<dyn Protocol>) -> Factory {
    SCHEMES.into_iter().fold(known, |known, scheme| known.register(scheme, Arc::clone(ftp)))
}

/// Makes FTP with the settings that the command line asks for.
pub(crate) fn protocol(
    connection: &Connection,
    patience: &Patience,
    guard: Option<Guard>,
) -> Result<Arc<dyn Protocol>, Usage> {
    if connection.proxy.as_deref().is_some_and(|proxy| proxy != "none") {
        return Ok(Arc::new(past_the_proxy));
    }
    let mut ftp = Ftp::new()
        .connect_timeout(patience.connect_timeout)
        .read_timeout(patience.read_timeout)
        .verify(!connection.insecure);
    for file in &connection.ca_certificates {
        ftp = ftp.ca_certificate(file);
    }
    if let Some(guard) = guard {
        ftp = ftp.guard(guard);
    }
    if let Some((user, password)) = user(connection)? {
        return Ok(Arc::new(ftp.user(user, password)));
    }
    // A token is for HTTP; who has one has said that nothing else is to be sent.
    match netrc(connection)?.filter(|_| connection.bearer_file.is_none()) {
        Some(netrc) => Ok(Arc::new(WithNetrc::new(ftp, netrc))),
        None => Ok(Arc::new(ftp)),
    }
}

/// Stands for FTP where everything is to go through a proxy.
fn past_the_proxy(_: &Request, _: &Context) -> Result<Reply, Failure> {
    let message = "FTP goes through no proxy: without --proxy, or with \"none\", it connects by itself";
    Err(Failure::new(ErrorKind::Unsupported, message))
}
