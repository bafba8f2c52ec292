//! What `ganymede get` is told.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::output::Output;
use super::pace::{Pace, Speed};
use super::quantity::{amount, size};
use super::upstream::Connection;

const EXAMPLES: &str = "\
Examples:
  One file, under the name that its URL has:
    ganymede get https://example.com/image.iso
  Under another name, checked, and from elsewhere if need be:
    ganymede get -o image.iso --digest sha256=9f86d08... --mirror https://example.org/image.iso \\
        https://example.com/image.iso
  Many files, 16 at a time, from a list:
    ganymede get -i list.txt -d downloads -j 16
  .. whose lines look like one of these:
    https://example.com/a.iso
    https://example.com/b.iso out=images/b.iso size=1048576 sha256=9f86d08...
    {\"url\": \"https://example.com/c.iso\", \"digests\": {\"md5\": \"d41d8cd9...\"}}
  Again later, for what has changed since:
    ganymede get -i list.txt -d downloads --existing update
  On a line that others use, too:
    ganymede get -i list.txt --per-host 2 --limit-rate 500K
  Into a bucket, and out of it:
    ganymede get -i list.txt -d s3://bucket/images/
    ganymede get s3://bucket/images/a.iso
  For another program to read:
    ganymede get --json -i list.txt

When it was interrupted, the same command goes on where it stopped.

Exit status:
  0 if all was downloaded or kept, 1 if something failed, 2 for bad usage or input, 130 if interrupted.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// What to download: URLs of http, https, ftp, ftps, ftpes, s3 and file
    ///
    /// With ftps, the connection is secure from its first byte; with ftpes, as soon as the server is asked for that.
    /// Objects of S3 are s3://BUCKET/KEY. Who asks for them, and where, is in the environment and in ~/.aws, as for
    /// other tools: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL and their like; with
    /// AWS_SKIP_SIGNATURE=true, everybody.
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) content: Content,
    #[command(flatten)]
    pub(crate) pace: Pace,
    #[command(flatten)]
    pub(crate) speed: Speed,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What and where to")]
pub(crate) struct Files {
    /// Writes to FILE; - is standard output. For a single URL
    ///
    /// Without it, a file gets the name that is last in its URL, or index.html if there is none. FILE may be an object
    /// in a store, s3://BUCKET/KEY: it appears when it is complete. One that is interrupted starts anew in the next run.
    #[arg(short, long = "output", value_name = "FILE", conflicts_with = "dir")]
    pub(crate) out: Option<PathBuf>,
    /// Puts the files into the folder DIR, which is made if it is missing
    ///
    /// It may be one in a store, s3://BUCKET/PREFIX/. With objects, --existing can only be replace, skip or fail, and
    /// --durable, --wait-for-space and --remote-name cannot be used.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Names files as their servers say, not as their URLs do
    ///
    /// The name is that of the header Content-Disposition, made harmless, and in the folder of --dir; without that
    /// header, it is the URL's. In a list, out=FILE wins over it. When two files of a run get the same name, the
    /// second fails.
    #[arg(long, conflicts_with = "out")]
    pub(crate) remote_name: bool,
    /// Reads what to download from FILE; - is standard input
    ///
    /// Each line is a URL, and behind it, if wanted, out=FILE, size=BYTES, mirror=URL (any number) and digests like
    /// sha256=HEX. What holds a space is quoted as in a shell. A line may be a JSON object instead: {"url": "..",
    /// "out": "..", "size": 1, "digests": {"sha256": ".."}, "mirrors": [".."]}. Blank lines and those that start
    /// with # are passed over. The list may be of any length: it is read as it is needed.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Downloads the files that a Metalink describes, which is a FILE or at a URL (repeatable)
    ///
    /// It says what each file is called, where it is, and what it must be: its size, its digest, and the digests of its
    /// pieces, so that a damaged piece is fetched again alone, from another mirror. Versions 4 (RFC 5854) and 3.0 are
    /// read. The folders of names are made in that of --dir. Credentials are sent to the host of the URL alone, and to
    /// none of the hosts that it names.
    #[cfg(feature = "metalink")]
    #[arg(long = "metalink", value_name = "FILE|URL")]
    pub(crate) metalinks: Vec<String>,
    /// Reads and checks everything, and says what would be downloaded where to; sends nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How it is stored")]
pub(crate) struct Storage {
    /// What becomes of a file that is there already
    ///
    /// With --remote-name, that can only be looked at once the server has named the file: skip and fail then ask it
    /// and receive nothing, and update and verify cannot be used.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Existing::Replace)]
    pub(crate) existing: Existing,
    /// Starts each attempt at the first byte, and keeps nothing of what is interrupted
    ///
    /// Without it, what an interrupted download has received stays beside its file, in the hidden files
    /// .NAME.ganymede-part and .NAME.ganymede-state. The same command goes on with it, if the server or a digest can
    /// prove that the rest belongs to it; otherwise it starts again.
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// Counts a file as downloaded only when it is sure to survive a power cut
    #[arg(long)]
    pub(crate) durable: bool,
    /// Waits when the disk is full or a quota used up, and goes on when there is space again
    #[arg(long)]
    pub(crate) wait_for_space: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Existing {
    /// It is replaced, in one step, when the new one is complete
    Replace,
    /// It is kept, whatever it is, and its server is not asked
    Skip,
    /// It is kept, and the download fails
    Fail,
    /// It is kept if its server has nothing newer, and if it has the size and the digests that are expected
    Update,
    /// It is kept if it has the size and the digests that are expected; if there are none, it is replaced
    Verify,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What it must be, and where else it is")]
pub(crate) struct Content {
    /// Stores the file only if it has this digest (repeatable)
    ///
    /// ALG is md5, sha1, sha224, sha256, sha384 or sha512.
    #[arg(long = "digest", value_name = "ALG=HEX")]
    pub(crate) digests: Vec<String>,
    /// Stores the file only if it has this many bytes; 10K, 10M and 10G are short for KiB, MiB and GiB
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) size: Option<u64>,
    /// Gives up what has more than this many bytes, before it is received if its length is announced
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) max_size: Option<u64>,
    /// Names the same file elsewhere, to be tried when the URL fails; several are tried in order (repeatable)
    #[arg(long = "mirror", value_name = "URL")]
    pub(crate) mirrors: Vec<String>,
    /// Names a list of mirrors, to be tried after the URL and every --mirror
    ///
    /// Its lines are URLs of the file, or, ending in /, of folders that have it under its name. With -o FILE and
    /// no URL, the list alone says where the file is. For several files, only folders count.
    #[arg(long, value_name = "URL")]
    pub(crate) mirror_list: Option<String>,
    /// Asks each server, before the file, where else it is and what it must be (RFC 6249)
    ///
    /// The mirrors that it names with Link are used where it states a digest of the file, and that is enforced, as is what
    /// a Metalink says that it names. Those of --mirror are tried before.
    #[cfg(feature = "metalink")]
    #[arg(long)]
    pub(crate) discover_mirrors: bool,
    /// Prefers mirrors in a country, like de, of those whose Metalink or server says where they are (repeatable)
    #[cfg(feature = "metalink")]
    #[arg(long = "location", value_name = "COUNTRY", value_parser = country)]
    pub(crate) locations: Vec<String>,
}

impl Get {
    /// Returns the Metalinks that are named.
    pub(crate) fn metalinks(&self) -> &[String] {
        #[cfg(feature = "metalink")]
        return &self.files.metalinks;
        #[cfg(not(feature = "metalink"))]
        &[]
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and credentials")]
pub(crate) struct Reach {
    /// Connects to public addresses only, not to this machine or its network: for URLs that others have chosen
    ///
    /// It counts for every redirect and every address that a name leads to. URLs of files are refused, too, and no
    /// proxy is taken from the environment.
    #[arg(long)]
    pub(crate) public_only: bool,
}

#[cfg(feature = "metalink")]
fn country(text: &str) -> Result<String, String> {
    match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a country has two letters (ISO 3166), like de".to_owned()),
    }
}
