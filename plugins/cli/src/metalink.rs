//! Metalinks: the items that they are made of, and how those are fetched.

use std::fs::File;
use std::io::Read;
use std::path::{Path, absolute};
use std::sync::Arc;

use ganymede::{Context, ErrorKind, Factory, Failure, Request, Url};
use ganymede_metalink::{Discovery, Metalink, Pieces, Preference};

use crate::feed::Feed;
use crate::item::Item;
use crate::job::Source;
use crate::settings::{Items, Settings, Usage};

/// Where a Metalink is.
enum Place {
    /// It was read already, from this machine.
    Here(Vec<Item>),
    Elsewhere(Url),
}

/// Returns the items of the Metalinks that are named: those on this machine are read before anything is sent, and the
/// others are fetched when they are needed.
pub(crate) fn items(names: &[String], settings: &Settings, context: &Context) -> Result<Items, Usage> {
    let preference = preference(settings);
    let factory = settings.factory.clone();
    let places: Vec<Place> =
        names.iter().map(|name| place(name, &factory, &preference)).collect::<Result<_, _>>()?;
    if places.iter().all(|place| matches!(place, Place::Here(_))) {
        let items = places.into_iter().flat_map(|place| match place {
            Place::Here(items) => items,
            Place::Elsewhere(_) => Vec::new(),
        });
        return Ok(Box::new(items.map(Ok)));
    }
    let fetching = context.clone();
    let items = places.into_iter().flat_map(move |place| match place {
        Place::Here(items) => items,
        Place::Elsewhere(url) => fetch(&url, &factory, &preference, &fetching),
    });
    let feed = Feed::new(items, context).map_err(|error| format!("--metalink: {error}"))?;
    Ok(Box::new(feed.map(Ok)))
}

/// Finds out what `--metalink NAME` means.
fn place(name: &str, factory: &Factory, preference: &Preference) -> Result<Place, Usage> {
    if name.contains("://") {
        let url = crate::settings::known_url(name, "--metalink ", factory)?;
        if url.scheme() != "file" {
            return Ok(Place::Elsewhere(url));
        }
    }
    let path = match Url::parse(name).ok().filter(|url| url.scheme() == "file").map(|url| url.to_file_path())
    {
        Some(path) => path.map_err(|()| format!("--metalink {name:?} is no file of this machine"))?,
        None => Path::new(name).to_owned(),
    };
    let text = read(&path).map_err(|error| format!("--metalink: cannot read {}: {error}", path.display()))?;
    let wrong = |error: &dyn std::fmt::Display| format!("--metalink {}: {error}", path.display());
    let metalink = Metalink::parse(&text).map_err(|error| wrong(&error))?;
    let at = absolute(&path).ok().and_then(|path| Url::from_file_path(path).ok());
    let metalink = match at {
        Some(at) => metalink.found_at(at),
        None => metalink,
    };
    let items = metalink.files().iter().map(|file| item(file, preference).map_err(|reason| wrong(&reason)));
    Ok(Place::Here(items.collect::<Result<_, _>>()?))
}

/// Reads a file, or so much of it that it is clearly too much.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(Metalink::LARGEST as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Fetches a Metalink, and returns its items; what cannot be had or used is one that fails, and the others go on.
fn fetch(url: &Url, factory: &Factory, preference: &Preference, context: &Context) -> Vec<Item> {
    let failing = |failure: Failure| {
        let mut item = Item::new(url.as_str()).ok()?;
        item.failure = Some(failure);
        Some(item)
    };
    match Metalink::fetch(Request::new(url.clone()), factory.clone(), context) {
        Ok(metalink) => {
            let items = metalink.files().iter().filter_map(|file| match item(file, preference) {
                Ok(item) => Some(item),
                Err(reason) => failing(Failure::new(ErrorKind::Unsupported, reason)),
            });
            items.collect()
        }
        Err(_) if context.is_cancelled() => Vec::new(),
        Err(failure) => failing(failure).into_iter().collect(),
    }
}

fn preference(settings: &Settings) -> Preference {
    Preference::of(&settings.factory).locations(&settings.locations)
}

/// Makes an item of a file.
fn item(file: &ganymede_metalink::File, preference: &Preference) -> Result<Item, String> {
    file.check().map_err(|failure| failure.to_string())?;
    let requests = file.requests(preference).map_err(|failure| failure.to_string())?;
    let mut urls = requests.into_iter().map(|request| request.url().clone());
    let first = urls.next().ok_or("it has no URL")?;
    let mut item = Item::new(first.as_str())?;
    item.set_out(file.name().as_str())?;
    item.size = file.size();
    item.digests = file.digest().into_iter().collect();
    item.mirrors = urls.collect();
    item.origin = file.origin().cloned().map(Arc::new);
    item.pieces = file.pieces().cloned();
    Ok(item)
}

/// Makes what fetches an item of a Metalink, or one that may be found out more about, and what has to be told of how that
/// goes.
pub(crate) fn source(settings: &Settings, item: &Item) -> Option<Source> {
    if let Some(pieces) = &item.pieces {
        return Some((Box::new(Pieces::new(settings.protocol(), pieces.clone())), None));
    }
    // A Metalink says all that there is to say.
    if !settings.discover || item.origin.is_some() {
        return None;
    }
    let discovery = Discovery::new(settings.protocol()).preference(preference(settings));
    let delegate = discovery.delegate();
    Some((Box::new(discovery), Some(Box::new(delegate))))
}
