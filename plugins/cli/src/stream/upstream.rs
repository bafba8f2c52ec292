//! Where the files are, and what they must be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ganymede::{Download, Factory, Failure, Guard, Importer, Protocol, RetryDelegate};
use ganymede_streamer::{Digests, DigestsError, Remote};
use parking_lot::RwLock;

use crate::arguments::Stream;
use crate::settings::{Usage, known_url};
use crate::{connection, item};

use super::witnessed::Witnessed;

/// The importer of the files below the remotes, with the digests that are expected of them now.
#[derive(Debug)]
pub(crate) struct Upstream {
    lists: Vec<PathBuf>,
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    remote: Remote,
    digests: Digests,
}

impl Upstream {
    pub(crate) fn new(arguments: &Stream) -> Result<Self, Usage> {
        let lists = arguments.service.digests.clone();
        let digests = read(&lists)?;
        let remote = remote(arguments)?.digests(digests.clone());
        Ok(Self { lists, now: RwLock::new(Now { remote, digests }) })
    }

    /// Returns the paths of all files of which something is expected, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        let now = self.now.read();
        let mut paths: Vec<String> = now.digests.paths().map(|path| path.as_str().to_owned()).collect();
        paths.sort_unstable();
        paths
    }

    /// Reads the lists again, if there are any, and returns of how many files something is expected then.
    pub(crate) fn reload(&self) -> Result<Option<usize>, String> {
        if self.lists.is_empty() {
            return Ok(None);
        }
        let digests = read(&self.lists)?;
        let mut now = self.now.write();
        now.remote = now.remote.clone().digests(digests.clone());
        now.digests = digests;
        Ok(Some(now.digests.len()))
    }
}

impl Importer for Upstream {
    fn download(&self, path: &str) -> Result<Box<dyn Download>, Failure> {
        Ok(Box::new(Witnessed(self.now.read().remote.download(path)?)))
    }
}

/// Reads the lists of digests.
fn read(lists: &[PathBuf]) -> Result<Digests, String> {
    lists.iter().try_fold(Digests::new(), |all, list| {
        let name = list.display();
        let failed = |error| match error {
            DigestsError::Read(error) => format!("--digests: cannot read {name}: {error}"),
            DigestsError::Line { line, reason } => format!("--digests: {name}, line {line}: {reason}"),
            error => format!("--digests: {name}: {error}"),
        };
        all.merge(Digests::open(list).map_err(failed)?).map_err(failed)
    })
}

/// Makes the remote, with the protocols and settings that the command line asks for.
fn remote(arguments: &Stream) -> Result<Remote, Usage> {
    let (patience, bases) = (&arguments.patience, &arguments.service.remotes);
    bases.iter().try_for_each(|base| check(base))?;
    let [first, mirrors @ ..] = bases.as_slice() else {
        return Err("nothing to serve: name where the files are with --remote URL".into());
    };
    let remote = mirrors.iter().fold(Remote::new(first), |remote, mirror| remote?.mirror(mirror));
    let remote = remote.map_err(|failure| format!("--remote: {failure}"))?;
    let protocols = protocols(arguments, &remote.guard())?;
    let known = protocols
        .iter()
        .fold(Factory::new(), |known, (scheme, protocol)| known.register(scheme, Arc::clone(protocol)));
    for base in bases {
        known_url(base, "--remote ", &known)?;
    }
    let retry =
        RetryDelegate::new(patience.retries).base(Duration::from_millis(200)).cap(Duration::from_secs(5));
    let remote = remote.retry(retry).cooldown(arguments.service.cooldown);
    Ok(protocols.into_iter().fold(remote, |remote, (scheme, protocol)| remote.protocol(scheme, protocol)))
}

/// Refuses what is no URL of a folder.
fn check(base: &str) -> Result<(), Usage> {
    let url = item::url(base).map_err(|reason| format!("--remote {reason}"))?;
    match url.query().or(url.fragment()) {
        Some(_) => Err(format!("--remote {}: leave out what begins with ? or #", item::shown(&url)).into()),
        None => Ok(()),
    }
}

/// Protocols by their schemes.
type Protocols = Vec<(&'static str, Arc<dyn Protocol>)>;

/// Makes the protocols, which connect only to where the guard lets them.
fn protocols(arguments: &Stream, guard: &Guard) -> Result<Protocols, Usage> {
    let (connection, patience) = (&arguments.connection, &arguments.patience);
    let http = connection::http(connection, patience)?;
    let web = connection::credentialed(http.clone().guard(guard.clone()), connection)?;
    #[allow(unused_mut, reason = "there may be no other protocols")]
    let mut protocols = vec![("http", Arc::clone(&web)), ("https", web)];
    #[cfg(feature = "ftp")]
    {
        let ftp = crate::ftp::protocol(connection, patience, Some(guard.clone()))?;
        protocols.extend(crate::ftp::SCHEMES.map(|scheme| (scheme, Arc::clone(&ftp))));
    }
    #[cfg(feature = "store")]
    {
        // Where a store is, the environment says, and it follows no redirects: nobody else can lead it anywhere.
        let store: Arc<dyn Protocol> = Arc::new(crate::store::store(&http, patience));
        let schemes = ganymede_store::schemes().into_iter();
        protocols.extend(schemes.map(|scheme| (scheme, Arc::clone(&store))));
    }
    Ok(protocols)
}
