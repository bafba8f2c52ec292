//! The command line: what can be said on it, and how that is explained.
//!
//! The build script makes the man pages of it, so it uses nothing else of this crate.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Downloads files: verified, from mirrors, in parallel.
#[derive(Debug, Parser)]
#[command(name = "ganymede", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Start with: ganymede get https://example.com/")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Downloads files
    ///
    /// A file appears under its name only when it is complete and has passed every check that was asked for.
    Get(Box<Get>),
    /// Prints the completions for a shell
    ///
    /// For bash, for example: ganymede completions bash > ~/.local/share/bash-completion/completions/ganymede
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the man page of a command
    ///
    /// To read it: ganymede man get | man -l -
    Man {
        /// The command; without one, the page of ganymede itself
        #[arg(value_parser = ["get", "completions", "man"])]
        command: Option<String>,
    },
}

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
#[command(next_help_heading = "How many, how often, how long")]
pub(crate) struct Pace {
    /// How many files are downloaded at a time, or "auto" for as many as are worth it
    ///
    /// With auto, it begins with 4, downloads more while that makes everything faster, up to 32, and fewer for a while
    /// when a server pushes back. --per-host limits that, too.
    #[arg(short = 'j', long, value_name = "N", default_value = "8", value_parser = concurrency)]
    pub(crate) concurrency: Concurrency,
    /// How many of them are downloaded from one host at a time; all, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) per_host: Option<u16>,
    /// How many files are prepared or unreported at a time [default: 64, or twice -j if that is more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) backlog: Option<u32>,
    /// How often each source is asked again after a passing failure, such as a broken connection
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) retries: u32,
    /// How long a server may ask to be left alone; when it asks for more, the download fails
    ///
    /// When a server is busy, it may say when to come back (429 or 503 with Retry-After). All downloads from that
    /// host wait until then, and those from others go on.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) max_retry_after: Duration,
    /// How long connecting may take, like 10s, 1m30s or 500ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) connect_timeout: Duration,
    /// How long a server may send nothing
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) read_timeout: Duration,
    /// How long each file may take in all; unlimited unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How fast")]
pub(crate) struct Speed {
    /// Over how many connections each file is fetched, in ranges, or "auto" for more than one where that is faster
    ///
    /// They go to the URL and to every --mirror, and each counts for --per-host. With auto, it is one at first; only
    /// for what is large, and has not come soon, are there more, as long as they bring more, up to 8 for all files
    /// together. What cannot be fetched in ranges comes over one connection.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = segments)]
    pub(crate) segments: Segments,
    /// How many bytes a second all downloads may take together, like 500K or 2M; unlimited unless given
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) limit_rate: Option<u64>,
    /// How many bytes a second the downloads from one host may take together
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) limit_rate_per_host: Option<u64>,
    /// How many bytes a second each download must get; a slower attempt is given up, like one that breaks off
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) min_speed: Option<u64>,
    /// Over how long --min-speed is measured
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration, requires = "min_speed")]
    pub(crate) min_speed_time: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and credentials")]
pub(crate) struct Connection {
    /// Sends a name and a password to the hosts of the URLs and of every --mirror
    ///
    /// A password on the command line is visible to others on this machine: --password-file and --netrc hide it.
    #[arg(long, value_name = "NAME:PASSWORD", conflicts_with = "bearer_file")]
    pub(crate) user: Option<String>,
    /// Reads the password for --user NAME from FILE
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// Takes names and passwords by host from $NETRC or ~/.netrc, unless --user or --bearer-file is given
    #[arg(long)]
    pub(crate) netrc: bool,
    /// Reads a bearer token from FILE and sends it to the hosts of the URLs and of every --mirror
    #[arg(long, value_name = "FILE")]
    pub(crate) bearer_file: Option<PathBuf>,
    /// Sends a header; it stays behind on a redirect to another host (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Goes through the proxy at URL, which may hold NAME:PASSWORD@; "none" goes through none
    ///
    /// Without it, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say what to do for HTTP. FTP goes through no proxy:
    /// without it, directly, and with it, not at all.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Trusts the certificates in FILE (PEM), and no others (repeatable)
    #[arg(long = "ca-certificate", value_name = "FILE")]
    pub(crate) ca_certificates: Vec<PathBuf>,
    /// Shows the certificate in FILE (PEM) to servers
    #[arg(long, value_name = "FILE")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Reads the key of --client-certificate from FILE (PEM); without it, it is in the same file
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,
    /// Accepts servers that cannot prove who they are; anyone on the way can then read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Speaks HTTP/1.1 with all servers, also with those that offer HTTP/2 over https
    #[arg(long = "http1.1")]
    pub(crate) http1_only: bool,
    /// How many redirects are followed for a file
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) max_redirects: u32,
    /// Connects to public addresses only, not to this machine or its network: for URLs that others have chosen
    ///
    /// It counts for every redirect and every address that a name leads to. URLs of files are refused, too, and no
    /// proxy is taken from the environment.
    #[arg(long)]
    pub(crate) public_only: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is printed")]
pub(crate) struct Output {
    /// Whether progress bars are drawn on standard error; auto draws them on a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// Prints a JSON object a line for each file and a summary, to standard output, or to standard error with -o -
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints at the end where the time went for each host: for a connection, for waiting, for checking, ..
    ///
    /// For each phase, what all attempts have spent in it and what each of them has on average. With --json, the
    /// numbers are in the summary. A redirect counts for the host that was asked.
    #[arg(long)]
    pub(crate) stats: bool,
    /// Writes a timeline to FILE: each attempt on the lane of its thread, for ui.perfetto.dev or chrome://tracing
    ///
    /// It is in the Trace Event Format (JSON), is written as the run goes on, and names URLs without credentials and
    /// queries.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Prints failures only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Prints what was stored or kept, too; twice: every attempt
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Wherever standard error goes
    Always,
    /// Not at all
    Never,
}

/// How many files are downloaded at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(u16),
    /// As many as are worth it.
    Auto,
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    let fixed = |text: &str| text.parse().ok().filter(|number| *number > 0).map(Concurrency::Fixed);
    let parsed = if text == "auto" { Some(Concurrency::Auto) } else { fixed(text) };
    parsed.ok_or_else(|| format!("it is neither a number from 1 to {} nor auto", u16::MAX))
}

/// Over how many connections a file is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segments {
    Fixed(u16),
    Auto,
}

/// Parses a number of bytes: plain, or with a suffix for a power of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let upper = upper.strip_suffix("IB").unwrap_or(&upper);
    let digits = upper.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &upper[digits.len()..] {
        "" if digits.len() == text.trim().len() => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("{text:?} is not a number of bytes, like 1048576 or 1M")),
    };
    let number = digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let number = number.and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("{text:?} is not a number of bytes, like 1048576 or 1M"))
}

/// Parses a number of bytes of which there must be some.
fn amount(text: &str) -> Result<u64, String> {
    match size(text) {
        Ok(0) => Err("it must be more than nothing".to_owned()),
        parsed => parsed,
    }
}

fn segments(text: &str) -> Result<Segments, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Segments::Auto),
        (_, Ok(number @ 1..=64)) => Ok(Segments::Fixed(number)),
        _ => Err("it must be auto, or from 1, for no ranges, to 64".to_owned()),
    }
}

#[cfg(feature = "metalink")]
fn country(text: &str) -> Result<String, String> {
    match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a country has two letters (ISO 3166), like de".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}: durations look like 10s, 1m30s or 500ms")),
    }
}
