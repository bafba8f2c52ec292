//! The downloads of a Metalink.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ganymede::{
    Attached, Download, ErrorKind, Factory, Failure, FileWriter, Importer, Protocol, Segmented, Transfer,
};

use crate::file::File;
use crate::metalink::Metalink;
use crate::path::FilePath;
use crate::pieces::Pieces;
use crate::preference::Preference;

/// A download of a [`MetalinkImporter`], attached to the path that its file has.
pub type MetalinkDownload<P> = Attached<Transfer<Pieces<Arc<P>>>, FilePath>;

/// The downloads of a Metalink: an [`Importer`] by the names of its files, and an iterator for a
/// [`Batch`](ganymede::Batch).
///
/// ```
/// use ganymede::{Batch, Context, Factory, Importer, Request};
/// use ganymede_metalink::{Metalink, MetalinkImporter};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let factory = Factory::new();
/// let request = Request::get("https://example.com/release.meta4")?;
/// let metalink = Metalink::fetch(request, factory.clone(), &Context::new())?;
/// let importer = MetalinkImporter::new(metalink, factory);
/// for plan in Batch::try_new(importer.downloads_into("release")) {
///     let plan = plan?;
///     println!("{}: {}", plan.attachment(), plan.result().is_ok());
/// }
/// # Ok(())
/// # }
/// ```
pub struct MetalinkImporter<P = Segmented<Factory>> {
    metalink: Metalink,
    protocol: Arc<P>,
    preference: Preference,
}

impl MetalinkImporter {
    /// Downloads over the protocols of a factory, in ranges where that is faster.
    #[must_use]
    pub fn new(metalink: Metalink, factory: Factory) -> Self {
        let preference = Preference::of(&factory);
        Self::over(metalink, Segmented::new(factory)).preference(preference)
    }
}

impl<P: Protocol + 'static> MetalinkImporter<P> {
    /// Downloads over a protocol; for other schemes than http and https, say so as a
    /// [preference](Self::preference).
    #[must_use]
    pub fn over(metalink: Metalink, protocol: P) -> Self {
        Self { metalink, protocol: Arc::new(protocol), preference: Preference::new() }
    }

    /// Sets which sources are asked, and in which order.
    #[must_use]
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// Returns the Metalink.
    #[must_use]
    pub fn metalink(&self) -> &Metalink {
        &self.metalink
    }

    /// Returns the downloads of all files into a folder, each attached to the path that its file has there.
    ///
    /// # Errors
    /// Those of [`File::download`], for each file that has one; a [`TryBatch`](ganymede::TryBatch) ends with the first.
    pub fn downloads_into(
        &self,
        folder: impl AsRef<Path>,
    ) -> impl Iterator<Item = Result<MetalinkDownload<P>, Failure>> {
        let folder = folder.as_ref().to_owned();
        self.metalink.files().iter().map(move |file| {
            let writer = FileWriter::new(folder.join(file.name()));
            Ok(self.transfer(file)?.writer(writer).attach(file.name().clone()))
        })
    }

    fn transfer(&self, file: &File) -> Result<Transfer<Pieces<Arc<P>>>, Failure> {
        file.download(Arc::clone(&self.protocol), &self.preference)
    }
}

impl<P: Protocol + 'static> Importer for MetalinkImporter<P> {
    /// Makes the download of the file of that name or path.
    fn download(&self, path: &str) -> Result<Box<dyn Download>, Failure> {
        let file = self.metalink.file(path).ok_or_else(|| {
            Failure::new(ErrorKind::NotFound, format!("the Metalink describes no file {path:?}"))
        })?;
        Ok(Box::new(self.transfer(file)?))
    }
}

impl<P> fmt::Debug for MetalinkImporter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetalinkImporter")
            .field("files", &self.metalink.files().len())
            .field("preference", &self.preference)
            .finish_non_exhaustive()
    }
}
