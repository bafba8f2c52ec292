//! Downloads whose failures the operator is told: clients learn no more than a status.

use std::sync::Arc;

use ganymede::{Context, Digest, Download, DownloadError, ErrorKind, Receipt, Request, Writer};

use crate::outcome::Reason;

/// A download whose failure is told.
pub(crate) struct Witnessed(pub(crate) Box<dyn Download>);

#[deny(clippy::missing_trait_methods)]
impl Download for Witnessed {
    fn request(&self) -> &Request {
        self.0.request()
    }

    fn request_mut(&mut self) -> &mut Request {
        self.0.request_mut()
    }

    fn set_writer(&mut self, writer: Arc<dyn Writer>) {
        self.0.set_writer(writer);
    }

    fn identifies(&self) -> bool {
        self.0.identifies()
    }

    fn digests(&self) -> Vec<Digest> {
        self.0.digests()
    }

    fn run(&mut self, context: &Context) -> Result<Receipt, DownloadError> {
        self.0.run(context).inspect_err(|error| {
            // That there is nothing, or nobody who wants it, is no fault of anyone.
            if !error.is_not_found() && !matches!(error.kind(), ErrorKind::Cancelled) {
                tracing::warn!("cannot fetch {}", told(error));
            }
        })
    }
}

/// Says where it was tried, without queries, and why it failed there.
fn told(error: &DownloadError) -> String {
    let sources = Reason::from(error).sources.into_iter().map(|source| {
        let place = source.url.split('?').next().unwrap_or_default();
        format!("{place}: {}", source.error)
    });
    let sources: Vec<String> = sources.collect();
    if sources.is_empty() { error.failure().to_string() } else { sources.join("; ") }
}
