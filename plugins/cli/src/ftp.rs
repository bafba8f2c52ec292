//! FTP, with the settings of the command line.

use std::sync::Arc;

use ganymede::{Context, ErrorKind, Factory, Failure, Guard, Protocol, Reply, Request};
use ganymede_ftp::Ftp;

use crate::arguments::{Connection, Pace};
use crate::connection::{netrc, user};
use crate::netrc::WithNetrc;
use crate::settings::Usage;

/// Adds the schemes of FTP to those that are known.
pub(crate) fn register(known: Factory, connection: &Connection, pace: &Pace) -> Result<Factory, Usage> {
    let ftp: Arc<dyn Protocol> = match connection.proxy.as_deref() {
        None | Some("none") => protocol(connection, pace)?,
        Some(_) => Arc::new(past_the_proxy),
    };
    let schemes = ["ftp", "ftps", "ftpes"];
    Ok(schemes.into_iter().fold(known, |known, scheme| known.register(scheme, Arc::clone(&ftp))))
}

fn protocol(connection: &Connection, pace: &Pace) -> Result<Arc<dyn Protocol>, Usage> {
    let mut ftp = Ftp::new()
        .connect_timeout(pace.connect_timeout)
        .read_timeout(pace.read_timeout)
        .verify(!connection.insecure);
    for file in &connection.ca_certificates {
        ftp = ftp.ca_certificate(file);
    }
    if connection.public_only {
        ftp = ftp.guard(Guard::public_only());
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
