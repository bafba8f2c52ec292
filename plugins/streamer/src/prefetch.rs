//! Fetching before anybody asks.

use std::sync::Arc;

use axum::response::Response;
use futures::{StreamExt, stream};
use http::Request;

use crate::answer::open;
use crate::exchange::Exchange;
use crate::path::ResourcePath;
use crate::respond::is_whole;
use crate::streamer::Shared;

/// What has come of fetching before anybody asked.
///
/// ```
/// use ganymede_streamer::Prefetched;
///
/// fn told(result: Prefetched) -> String {
///     format!("{} are there, {} are not", result.fetched, result.failed)
/// }
/// # let _ = told;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prefetched {
    /// How many paths there is a content of.
    pub fetched: u64,
    /// How many there is none of.
    pub failed: u64,
}

/// Asks for each path like a client, that takes what comes and looks only how it ends.
pub(crate) async fn prefetch(
    shared: Arc<Shared>,
    paths: impl Iterator<Item = String> + Send,
    at_once: usize,
) -> Prefetched {
    let fetches = stream::iter(paths).map(|path| fetch(Arc::clone(&shared), path)).buffer_unordered(at_once);
    let count = |mut all: Prefetched, good: bool| async move {
        *(if good { &mut all.fetched } else { &mut all.failed }) += 1;
        all
    };
    fetches.fold(Prefetched::default(), count).await
}

async fn fetch(shared: Arc<Shared>, path: String) -> bool {
    let path: Result<ResourcePath, _> = format!("/{}", path.trim_start_matches('/')).parse();
    let request = path.ok().and_then(|path| {
        let request = Request::get(format!("/{path}")).body(()).ok()?;
        Some((path, request.into_parts().0))
    });
    let Some((path, parts)) = request else { return false };
    let account = open(&shared, &parts);
    let response = Exchange::new(Arc::clone(&shared), parts, path.clone()).answer(account).await;
    if !is_whole(response.status()) || !arrives(response).await {
        return false;
    }
    // Who has all of it is not to be told that it is there before it is.
    match shared.flights.ending(path.as_str()) {
        Some(fill) => fill.ended().await.is_ok(),
        None => true,
    }
}

async fn arrives(response: Response) -> bool {
    let blocks = response.into_body().into_data_stream();
    blocks.all(|block| async move { block.is_ok() }).await
}
