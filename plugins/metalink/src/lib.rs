#![doc = include_str!("../README.md")]

mod digests;
mod discovery;
mod error;
mod file;
mod importer;
mod metalink;
mod parser;
mod path;
mod pieces;
mod preference;
mod writing;

pub use digests::PieceDigests;
pub use discovery::{Discovery, DiscoveryDelegate};
pub use error::{ParseMetalinkError, Problem};
pub use file::{Description, File, Source};
pub use importer::{MetalinkDownload, MetalinkImporter};
pub use metalink::Metalink;
pub use path::FilePath;
pub use pieces::Pieces;
pub use preference::Preference;
