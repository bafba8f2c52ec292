//! Object stores, with the settings of the command line: as sources, and as where files go.

use std::path::{Path, PathBuf};

use ganymede::{ErrorKind, Existing, Factory, Failure, Http, Url};
use ganymede_store::{Store, StoreWriter, object_in, schemes};

use crate::arguments::{self, Get, Patience};
use crate::item::{Item, masked, shown};
use crate::settings::Usage;

/// Makes the protocol of stores, which connects as HTTP does.
pub(crate) fn store(http: &Http, patience: &Patience) -> Store {
    Store::new().http(http).read_timeout(patience.read_timeout)
}

/// Adds the schemes of stores to those that are known.
pub(crate) fn register(known: Factory, store: &Store) -> Factory {
    schemes().iter().fold(known, |known, scheme| known.register(scheme, store.clone()))
}

/// Where the objects of a run go.
#[derive(Debug)]
pub(crate) struct Objects {
    store: Store,
    /// Where those go whose own place is not said.
    folder: Option<Url>,
    existing: Existing,
    /// The option that makes no sense for objects, if one was given.
    unfit: Option<&'static str>,
}

/// An object that a download is to become.
pub(crate) struct Object {
    /// How reports name it.
    pub(crate) path: PathBuf,
    pub(crate) writer: Result<StoreWriter, Failure>,
}

impl Objects {
    /// Reads where the objects go, and fails if that is asked for in a way that makes no sense.
    pub(crate) fn new(store: Store, arguments: &Get, existing: Existing) -> Result<Self, Usage> {
        let (files, unfit) = (&arguments.files, unfit(arguments));
        let given = [("--dir", &files.dir), ("--output", &files.out)];
        let given = given.into_iter().find_map(|(option, path)| Some((option, url_in(path.as_deref()?)?)));
        if let (Some((option, url)), Some(unfit)) = (given, unfit) {
            let url = masked(url);
            return Err(format!("{unfit} is for files, and {option} {url} is an object store").into());
        }
        let mut objects = Self { store, folder: None, existing, unfit };
        match given {
            Some(("--dir", text)) => {
                let named = |reason: String| format!("--dir {:?}: {reason}", masked(text));
                let url = Url::parse(text).map_err(|error| named(error.to_string()))?;
                // Whatever the name, it must be possible to have an object there.
                let any = object_in(&url, "name").map_err(|failure| named(failure.to_string()))?;
                objects.writer(&any).map_err(|failure| named(failure.to_string()))?;
                objects.folder = Some(url);
            }
            Some((option, text)) => {
                let named = |failure: Failure| format!("{option}: {failure}");
                StoreWriter::new(&objects.store, text).map_err(named)?;
            }
            None => {}
        }
        Ok(objects)
    }

    /// Returns the object that an item is to become; `None` is a file.
    pub(crate) fn object(&self, item: &Item) -> Option<Object> {
        if let Some(text) = item.out.as_deref().and_then(url_in) {
            let path = Url::parse(text).map_or_else(|_| masked(text), |url| shown(&url));
            let writer = match self.unfit {
                Some(option) => Err(Failure::new(
                    ErrorKind::Unsupported,
                    format!("{option} is for files, and {path} is an object in a store"),
                )),
                None => StoreWriter::new(&self.store, text).map(|writer| self.fit(writer)),
            };
            return Some(Object { path: path.into(), writer });
        }
        let folder = self.folder.as_ref()?;
        let name = item.path(None);
        let below = shown(folder);
        let path = PathBuf::from(format!("{}/{}", below.trim_end_matches('/'), name.display()));
        let writer = match name.to_str() {
            Some(name) => object_in(folder, name).and_then(|url| self.writer(&url)),
            None => Err(Failure::new(ErrorKind::Unsupported, format!("{name:?} is no name of an object"))),
        };
        Some(Object { path, writer })
    }

    fn writer(&self, url: &Url) -> Result<StoreWriter, Failure> {
        StoreWriter::new(&self.store, url.as_str()).map(|writer| self.fit(writer))
    }

    fn fit(&self, writer: StoreWriter) -> StoreWriter {
        match self.existing {
            Existing::Replace => writer,
            _ => writer.create_only(),
        }
    }
}

/// Returns the URL of a store that a path is, if it is one.
fn url_in(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    schemes().contains(&scheme).then_some(text)
}

/// Returns an option that was given and that makes no sense for objects.
fn unfit(arguments: &Get) -> Option<&'static str> {
    let (files, storage) = (&arguments.files, &arguments.storage);
    let given = [
        ("--durable", storage.durable),
        ("--wait-for-space", storage.wait_for_space),
        ("--remote-name", files.remote_name),
        ("--existing update", storage.existing == arguments::Existing::Update),
        ("--existing verify", storage.existing == arguments::Existing::Verify),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
}
