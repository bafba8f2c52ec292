//! What the command line asks for, checked: nothing is sent before all of it makes sense.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ganymede::{Context, Digest, Existing, Factory, Guard, Limits, Segmented, Url};

use crate::arguments::{self, Concurrency, Get, Patience, Rate, Segments};
use crate::connection;
use crate::feed::Feed;
use crate::input::{BadLine, Lines};
use crate::item::{self, Item};

/// How many downloads run at a time at most where nobody has said how many.
const MOST: usize = 32;

/// How much of a list is read at once, in bytes.
const READ: usize = 64 << 10;

/// Why a command line cannot be obeyed.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Usage {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Usage {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What is common to all downloads of a run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) factory: Factory,
    segments: Segments,
    pub(crate) retries: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) mirror_list: Option<Url>,
    /// The name that the content has on the mirrors, where their list alone says where it is.
    pub(crate) listed_name: Option<String>,
    /// Whether there may be several files, so that no mirror of a single one is of use.
    pub(crate) several: bool,
    pub(crate) folder: Option<PathBuf>,
    /// Whether servers are asked where else their files are.
    #[cfg(feature = "metalink")]
    pub(crate) discover: bool,
    /// The countries whose mirrors are preferred.
    #[cfg(feature = "metalink")]
    pub(crate) locations: Vec<String>,
    /// Whether servers name the files.
    pub(crate) remote_name: bool,
    pub(crate) existing: Existing,
    /// Where those go that are to be objects in a store.
    #[cfg(feature = "store")]
    pub(crate) objects: crate::store::Objects,
    pub(crate) resume: bool,
    pub(crate) durable: bool,
    pub(crate) wait_for_space: bool,
    pub(crate) max_size: Option<u64>,
    /// How many bytes a second each download must have, and over how long.
    pub(crate) min_speed: Option<(u64, Duration)>,
    pub(crate) limits: Limits,
    /// Whether the content goes to standard output.
    pub(crate) to_stdout: bool,
    /// How many downloads run at a time, or how many may at most.
    pub(crate) concurrency: usize,
    /// Whether the run finds out how many are best.
    pub(crate) adaptive: bool,
    pub(crate) backlog: usize,
}

/// The items of a run: those of the command line, and then those of the list.
pub(crate) type Items = Box<dyn Iterator<Item = Result<Item, BadLine>>>;

impl Settings {
    pub(crate) fn new(arguments: &Get) -> Result<Self, Usage> {
        check_combination(arguments)?;
        let (connection, patience) = (&arguments.connection, &arguments.pace.patience);
        let guard = arguments.reach.public_only.then(Guard::public_only);
        let http = connection::http(connection, patience)?;
        let http = match guard.clone() {
            Some(guard) => http.guard(guard),
            None => http,
        };
        #[cfg(feature = "store")]
        let store = crate::store::store(&http, patience);
        let factory = connection::factory(http, connection, guard.is_some())?;
        #[cfg(feature = "ftp")]
        let factory = crate::ftp::register(factory, &crate::ftp::protocol(connection, patience, guard)?);
        #[cfg(feature = "store")]
        let factory = crate::store::register(factory, &store);
        let list = arguments.content.mirror_list.as_deref();
        let mirror_list = list.map(|text| known_url(text, "--mirror-list", &factory)).transpose()?;
        if let Some(folder) = arguments.files.dir.as_ref().filter(|dir| dir.exists() && !dir.is_dir()) {
            return Err(format!("--dir: {} is not a folder", folder.display()).into());
        }
        let out = arguments.files.out.as_deref();
        let listed = arguments.files.input.is_some() || !arguments.metalinks().is_empty();
        let alone = arguments.urls.is_empty() && !listed;
        let name = out.filter(|_| alone).and_then(Path::file_name);
        let (storage, speed) = (&arguments.storage, &arguments.speed);
        let (concurrency, adaptive) = match arguments.pace.concurrency {
            Concurrency::Fixed(number) => (usize::from(number), false),
            Concurrency::Auto => (MOST, true),
        };
        let existing = match storage.existing {
            arguments::Existing::Replace => Existing::Replace,
            arguments::Existing::Skip => Existing::Skip,
            arguments::Existing::Fail => Existing::Fail,
            arguments::Existing::Update => Existing::Update,
            arguments::Existing::Verify => Existing::Verify,
        };
        let backlog = arguments.pace.backlog.map_or(64.max(2 * concurrency), |backlog| backlog as usize);
        Ok(Self {
            factory,
            segments: speed.segments,
            retries: patience.retries,
            deadline: arguments.pace.deadline,
            mirror_list,
            listed_name: name.map(|name| name.to_string_lossy().into_owned()),
            several: arguments.urls.len() > 1 || listed,
            folder: arguments.files.dir.clone(),
            #[cfg(feature = "metalink")]
            discover: arguments.content.discover_mirrors,
            #[cfg(feature = "metalink")]
            locations: arguments.content.locations.clone(),
            remote_name: arguments.files.remote_name,
            existing,
            #[cfg(feature = "store")]
            objects: crate::store::Objects::new(store, arguments, existing)?,
            resume: !storage.no_resume,
            durable: storage.durable,
            wait_for_space: storage.wait_for_space,
            max_size: arguments.content.max_size,
            min_speed: speed.min_speed.map(|bytes| (bytes, speed.min_speed_time)),
            limits: limits(patience, &speed.rate),
            to_stdout: out == Some(Path::new("-")),
            concurrency,
            adaptive,
            backlog,
        })
    }

    /// Returns the protocol that fetches the files.
    pub(crate) fn protocol(&self) -> Segmented<Factory> {
        let protocol = Segmented::new(self.factory.clone());
        match self.segments {
            Segments::Fixed(number) => protocol.segments(number.into()),
            Segments::Auto => protocol,
        }
    }

    /// Returns the items of a run; those of a list are read as they are needed, and until the context is cancelled.
    pub(crate) fn items(&self, arguments: &Get, context: &Context) -> Result<Items, Usage> {
        let named: Items = Box::new(self.named(arguments)?.into_iter().map(Ok));
        #[cfg(feature = "metalink")]
        let named: Items = match arguments.metalinks() {
            [] => named,
            metalinks => Box::new(named.chain(crate::metalink::items(metalinks, self, context)?)),
        };
        let Some(input) = &arguments.files.input else { return Ok(named) };
        let failed = |error: io::Error| format!("--input: cannot read {}: {error}", input.display());
        let listed = if input == Path::new("-") {
            Feed::new(Lines::new(BufReader::new(io::stdin()), "standard input"), context).map_err(failed)?
        } else {
            let file = File::open(input).map_err(failed)?;
            if file.metadata().map_err(failed)?.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()).into());
            }
            let name = input.display().to_string();
            Feed::new(Lines::new(BufReader::with_capacity(READ, file), name), context).map_err(failed)?
        };
        Ok(Box::new(named.chain(listed)))
    }

    /// Returns the items of the command line.
    fn named(&self, arguments: &Get) -> Result<Vec<Item>, Usage> {
        let mut items = Vec::new();
        for text in &arguments.urls {
            known_url(text, "", &self.factory)?;
            items.push(Item::new(text)?);
        }
        match &arguments.content.mirror_list {
            Some(list) if self.listed_name.is_some() => items.push(Item::new(list)?),
            _ => {}
        }
        let [item] = items.as_mut_slice() else { return Ok(items) };
        for text in &arguments.content.digests {
            let digest = text.parse::<Digest>().map_err(|error| format!("--digest {text:?}: {error}"))?;
            item.digests.push(digest);
        }
        for text in &arguments.content.mirrors {
            item.mirrors.push(known_url(text, "--mirror ", &self.factory)?);
        }
        item.size = arguments.content.size;
        item.out.clone_from(&arguments.files.out);
        Ok(items)
    }
}

/// Returns how hosts are treated.
pub(crate) fn limits(patience: &Patience, rate: &Rate) -> Limits {
    let mut limits = Limits::new().max_retry_after(patience.max_retry_after);
    if let Some(connections) = patience.per_host {
        limits = limits.per_host(connections.into());
    }
    if let Some(bytes) = rate.limit_rate {
        limits = limits.rate(bytes);
    }
    if let Some(bytes) = rate.limit_rate_per_host {
        limits = limits.rate_per_host(bytes);
    }
    limits
}

/// Refuses what makes no sense together.
fn check_combination(arguments: &Get) -> Result<(), Usage> {
    let (files, content) = (&arguments.files, &arguments.content);
    let listed = files.input.is_some() || !arguments.metalinks().is_empty();
    let single = arguments.urls.len() <= 1 && !listed;
    if arguments.urls.is_empty() && !listed {
        match (&content.mirror_list, &files.out) {
            (None, _) => return Err("nothing to download: name a URL, or a list of them with --input".into()),
            (Some(_), Some(out)) if out != Path::new("-") => {}
            (Some(list), _) => {
                let list = item::masked(list);
                return Err(format!("--mirror-list {list} without a URL needs --output FILE").into());
            }
        }
    }
    if let Some(out) = &files.out {
        if !single {
            let out = out.display();
            return Err(format!("--output {out} is for a single URL: use --dir for several files").into());
        }
        if out != Path::new("-") && (out.file_name().is_none() || out.to_string_lossy().ends_with('/')) {
            return Err(format!("--output {:?} names no file", out.display().to_string()).into());
        }
    }
    check_storage(arguments)?;
    let of_one = [
        ("--digest", content.digests.first().cloned()),
        ("--size", content.size.map(|size| size.to_string())),
        ("--mirror", content.mirrors.first().map(|url| item::masked(url))),
    ];
    match of_one.into_iter().find(|(_, value)| value.is_some() && !single) {
        Some((option, value)) => {
            let value = value.unwrap_or_default();
            Err(format!(
                "{option} {value} is for a single URL: for several files, put it into a list for --input"
            )
            .into())
        }
        None => Ok(()),
    }
}

/// Refuses what makes no sense for standard output, or for files whose names are not known yet.
fn check_storage(arguments: &Get) -> Result<(), Usage> {
    let (files, storage) = (&arguments.files, &arguments.storage);
    let existing = storage.existing;
    if files.out.as_deref() == Some(Path::new("-")) {
        let of_files = [
            ("--existing", existing != arguments::Existing::Replace),
            ("--durable", storage.durable),
            ("--wait-for-space", storage.wait_for_space),
        ];
        if let Some((option, _)) = of_files.into_iter().find(|(_, given)| *given) {
            return Err(format!("{option} is for files, and --output - is standard output").into());
        }
    }
    let policy = match existing {
        arguments::Existing::Update => "update",
        arguments::Existing::Verify => "verify",
        _ => return Ok(()),
    };
    if files.remote_name {
        let reason = "looks at the file before the server is asked, which is who names it";
        return Err(format!("--existing {policy} cannot be used with --remote-name: it {reason}").into());
    }
    Ok(())
}

/// Parses a URL of the command line, which must be of a scheme that is known.
pub(crate) fn known_url(text: &str, option: &str, factory: &Factory) -> Result<Url, Usage> {
    let url = item::url(text).map_err(|reason| format!("{option}{reason}"))?;
    let schemes = factory.schemes();
    if schemes.contains(&url.scheme()) {
        return Ok(url);
    }
    let (text, known) = (item::masked(text), schemes.join(", "));
    Err(format!("{option}{text:?}: there is no protocol for {}: (known: {known})", url.scheme()).into())
}
