//! The downloads of a run, made of its items and settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ganymede::{
    Action, Attached, BufferWriter, Conditional, Context, DigestValidation, ErrorKind, Event, EventHandler,
    Failure, FileWriter, MirrorDelegate, Protocol, RetryDelegate, SizeValidation, SpaceDelegate, Transfer,
};

use crate::claims::Claims;
use crate::item::Item;
use crate::observation::Observer;
use crate::progress::Progress;
use crate::remote::{RemoteName, stand_in};
use crate::report::Report;
use crate::settings::Settings;
use crate::watch::{Clock, Watch};

/// A download into a file.
pub(crate) type Job = Attached<Transfer<Box<dyn Protocol>>, Arc<Watch>>;

/// What fetches an item, and what has to be told of how that goes.
pub(crate) type Source = (Box<dyn Protocol>, Option<Box<dyn EventHandler>>);

/// Makes downloads.
pub(crate) struct Jobs<'a> {
    settings: &'a Settings,
    report: &'a Arc<Report>,
    progress: &'a Progress,
    claims: Arc<Claims>,
}

/// Where the file of an item goes.
enum Target {
    Path(PathBuf),
    /// Into this folder, under a name that the server has.
    Folder(PathBuf),
}

impl<'a> Jobs<'a> {
    pub(crate) fn new(settings: &'a Settings, report: &'a Arc<Report>, progress: &'a Progress) -> Self {
        Self { settings, report, progress, claims: Arc::default() }
    }

    /// Makes the download of an item into its file, or one that fails at once if that is another one's.
    pub(crate) fn job(&self, item: &Item) -> Job {
        let settings = self.settings;
        if let Some(failure) = &item.failure {
            let watch = Arc::new(Watch::new(item, None));
            let transfer = self.transfer(item, &watch, |source| source, Some(failure.clone()));
            return transfer.writer(BufferWriter::new(0)).attach(watch);
        }
        #[cfg(feature = "store")]
        if let Some(object) = settings.objects.object(item) {
            return self.upload(item, object);
        }
        let target = self.target(item);
        let refused = self.claim(&target, item).err();
        let (path, known) = match &target {
            Target::Path(path) => (path.clone(), Some(path.clone())),
            Target::Folder(folder) => (stand_in(folder, &item.url), None),
        };
        let mut watch = Watch::new(item, known);
        if settings.resume && refused.is_none() {
            watch = watch.kept_beside(&path);
        }
        let watch = Arc::new(watch);
        let around = |source| -> Box<dyn Protocol> {
            match &target {
                Target::Path(path) => Box::new(self.conditional(item, path, source)),
                Target::Folder(folder) => Box::new(
                    RemoteName::new(source, &item.url, folder, &watch)
                        .existing(settings.existing)
                        .claims(&self.claims),
                ),
            }
        };
        let transfer = self.transfer(item, &watch, around, refused);
        let mut writer = FileWriter::new(&path).resume(settings.resume);
        if settings.durable {
            writer = writer.durable();
        }
        if let Target::Folder(_) = target {
            let named = Arc::clone(&watch);
            writer = writer.named(move |_| Ok(named.path().unwrap_or_else(|| path.clone())));
        }
        transfer.writer(writer).attach(watch)
    }

    /// Makes the download of an item into an object, or one that fails at once if there can be none.
    #[cfg(feature = "store")]
    fn upload(&self, item: &Item, object: crate::store::Object) -> Job {
        let settings = self.settings;
        let claimed = self.claims.take(&object.path).err();
        let watch = Arc::new(Watch::new(item, Some(object.path)));
        match object.writer {
            Ok(writer) => {
                let around = |source| -> Box<dyn Protocol> {
                    let (writer, existing) = (writer.clone(), settings.existing);
                    Box::new(ganymede_store::StoreConditional::new(source, writer, existing))
                };
                self.transfer(item, &watch, around, claimed).writer(writer).attach(watch)
            }
            Err(failure) => {
                let nowhere = BufferWriter::new(0);
                let transfer = self.transfer(item, &watch, |source| source, Some(failure));
                transfer.writer(nowhere).attach(watch)
            }
        }
    }

    /// Makes the download of an item without saying where to.
    pub(crate) fn stream(&self, item: &Item, watch: &Arc<Watch>) -> Transfer<Box<dyn Protocol>> {
        self.transfer(item, watch, |source| source, None)
    }

    /// Tells where the file of an item would go, if that is known, and why it could not.
    pub(crate) fn planned(&self, item: &Item) -> (Watch, Result<(), Failure>) {
        if let Some(failure) = &item.failure {
            return (Watch::new(item, None), Err(failure.clone()));
        }
        if self.settings.to_stdout {
            return (Watch::new(item, None), Ok(()));
        }
        #[cfg(feature = "store")]
        if let Some(object) = self.settings.objects.object(item) {
            let claimed = self.claims.take(&object.path);
            return (Watch::new(item, Some(object.path)), object.writer.and(claimed));
        }
        let target = self.target(item);
        let claimed = self.claim(&target, item);
        match target {
            Target::Path(path) => (Watch::new(item, Some(path)), claimed),
            Target::Folder(_) => (Watch::new(item, None), claimed),
        }
    }

    fn target(&self, item: &Item) -> Target {
        let folder = self.settings.folder.as_deref();
        match item.out {
            None if self.settings.remote_name => Target::Folder(folder.unwrap_or(Path::new("")).to_owned()),
            _ => Target::Path(item.path(folder)),
        }
    }

    /// Claims what no other download of the run may have.
    fn claim(&self, target: &Target, item: &Item) -> Result<(), Failure> {
        match target {
            Target::Path(path) => self.claims.take(path),
            Target::Folder(folder) => match self.claims.claim(&stand_in(folder, &item.url)) {
                true => Ok(()),
                false => {
                    Err(Failure::new(ErrorKind::Write, "the same URL is downloaded by this run already"))
                }
            },
        }
    }

    /// Makes what fetches an item, and what has to be told of how that goes.
    fn source(&self, item: &Item) -> Source {
        #[cfg(feature = "metalink")]
        if let Some(source) = crate::metalink::source(self.settings, item) {
            return source;
        }
        let _ = item;
        (Box::new(self.settings.protocol()), None)
    }

    fn conditional(
        &self,
        item: &Item,
        path: &Path,
        source: Box<dyn Protocol>,
    ) -> Conditional<Box<dyn Protocol>> {
        let conditional = Conditional::new(source, path, self.settings.existing);
        let conditional = conditional.digests(item.digests.iter().copied());
        match item.size {
            Some(size) => conditional.size(size),
            None => conditional,
        }
    }

    fn transfer(
        &self,
        item: &Item,
        watch: &Arc<Watch>,
        around: impl FnOnce(Box<dyn Protocol>) -> Box<dyn Protocol>,
        refused: Option<Failure>,
    ) -> Transfer<Box<dyn Protocol>> {
        let settings = self.settings;
        let (source, discovered) = self.source(item);
        let mut transfer = Transfer::new(item.request(), around(source))
            // How many there are, the handlers decide: so many for each source.
            .attempts(u32::MAX)
            .resume(settings.resume)
            .monitor(&watch.monitor)
            .handler(Clock::new(watch, self.progress));
        if let Some(observer) = Observer::new(self.report) {
            transfer = transfer.handler(observer);
        }
        if let Some(failure) = refused {
            transfer = transfer.handler(move |event: &mut Event<'_>, _: &Context| match event {
                Event::Prepared { .. } => Action::Fail(failure.clone()),
                _ => Action::Continue,
            });
        }
        if settings.wait_for_space {
            transfer = transfer.handler(self.space(item));
        }
        transfer = transfer.handler(RetryDelegate::new(settings.retries));
        if !item.mirrors.is_empty() {
            let mirrors = item.mirrors.clone();
            transfer = transfer.handler(match item.origin {
                Some(_) => MirrorDelegate::named(mirrors),
                None => MirrorDelegate::new(mirrors),
            });
        }
        if let Some(handler) = discovered {
            transfer = transfer.handler(handler);
        }
        if let Some(list) = &settings.mirror_list {
            let mut delegate = MirrorDelegate::list(list.clone()).protocol(settings.factory.clone());
            if settings.several {
                delegate = delegate.folders();
            }
            if let Some(name) = &settings.listed_name {
                delegate = delegate.name(name).replaces();
            }
            transfer = transfer.handler(delegate);
        }
        for digest in &item.digests {
            transfer = transfer.validation(DigestValidation::new(*digest));
        }
        if let Some(size) = item.size {
            transfer = transfer.validation(SizeValidation::new(size));
        }
        if let Some(bytes) = settings.max_size {
            transfer = transfer.max_size(bytes);
        }
        if let Some((speed, over)) = settings.min_speed {
            transfer = transfer.min_speed(speed, over);
        }
        match settings.deadline {
            Some(deadline) => transfer.deadline(deadline),
            None => transfer,
        }
    }

    /// Makes what waits for space where the file of an item goes, and says so once for all downloads there.
    fn space(&self, item: &Item) -> SpaceDelegate {
        let folder = match self.target(item) {
            Target::Path(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
            Target::Folder(folder) => folder,
        };
        let report = Arc::clone(self.report);
        SpaceDelegate::new(folder).on_wait(move |text| report.note(text))
    }
}
