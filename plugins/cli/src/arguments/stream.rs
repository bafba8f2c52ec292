//! What `ganymede stream` is told.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::quantity::{amount, duration, size, time};
use super::upstream::{Connection, Patience, Rate};

const EXAMPLES: &str = "\
Examples:
  Before a Debian mirror, in three lines:
    ganymede stream --remote https://mirror.example.org/debian/ --cache /var/cache/ganymede &
    echo 'deb http://127.0.0.1:8080/ stable main' > /etc/apt/sources.list.d/mirror.list
    apt update
  Before an index of Python packages whose files are below the same URL:
    ganymede stream --remote https://mirror.example.org/pypi/ --cache /var/cache/ganymede
    pip install --index-url http://127.0.0.1:8080/simple/ NAME
  Before two mirrors, for a whole network, with a list of what each file must be:
    ganymede stream --listen 0.0.0.0:8080 --digests SHA256SUMS --cache /var/cache/ganymede \\
        --cache-size 100G --remote https://example.com/pub/ --remote https://example.org/pub/
  With all of it there before anybody asks:
    ganymede stream --remote https://example.com/pub/ --cache cache --digests SHA256SUMS \\
        --policy immediate
  Nothing kept, each byte checked all the same:
    ganymede stream --remote ftp://example.com/pub/ --digests SHA256SUMS

/-/health answers whether it runs, /-/metrics with numbers for Prometheus.

Signals:
  TERM and INT end it: what is being answered comes to its end, for as long as --drain. A second one ends it at once.
  HUP opens the access log and reads the lists of --digests anew.

Exit status:
  0 if it was told to end, 1 if it could not go on, 2 for bad usage or input, 130 if a second signal ended it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
// A client waits meanwhile.
#[command(mut_arg("max_retry_after", |argument| argument.default_value("10s")))]
#[command(mut_arg("proxy", |argument| argument.long_help(PROXY)))]
pub(crate) struct Stream {
    #[command(flatten)]
    pub(crate) service: Service,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    #[command(flatten)]
    pub(crate) freshness: Freshness,
    #[command(flatten)]
    pub(crate) headers: Headers,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) rate: Rate,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) journal: Journal,
}

const PROXY: &str = "\
Goes through the proxy at URL, which may hold NAME:PASSWORD@

Without it, no proxy is gone through, not even those of the environment. With it, it is for the proxy to keep away from \
what is not public. FTP goes through no proxy: without it, directly, and with it, not at all.";

#[derive(Debug, Args)]
#[command(next_help_heading = "What is served, and where")]
pub(crate) struct Service {
    /// Where clients find it: a name or an address of this machine, and a port (repeatable)
    ///
    /// With port 0, the system chooses one. Where it really listens is told on standard error, in a line for each, when
    /// it does. Other machines reach it at 0.0.0.0:PORT, all who can: it knows no passwords.
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: Vec<String>,
    /// Where the files are: a URL, below which they are asked for; further ones are its mirrors (repeatable)
    ///
    /// Of http, https, ftp, ftps, ftpes, s3 and file. The first that serves a file does; when a download breaks off, it
    /// goes on elsewhere at the same byte, if it is sure that the files are the same. Redirects are followed to public
    /// addresses, and to the hosts that are named here.
    #[arg(short, long = "remote", value_name = "URL", required = true)]
    pub(crate) remotes: Vec<String>,
    /// Says what files must be: a list as sha256sum and its kin write it, with paths below the remote (repeatable)
    ///
    /// A file that is in no list is served as it comes. Of several digests for a file, the longest counts. A remote that
    /// sends a wrong file is asked last for a while. The lists are read again on SIGHUP.
    #[arg(long = "digests", value_name = "FILE")]
    pub(crate) digests: Vec<PathBuf>,
    /// How long a remote that has sent a wrong file is asked last
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time)]
    pub(crate) cooldown: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is kept")]
pub(crate) struct Keeping {
    /// Keeps files in the folder DIR, which is made if it is missing; one process uses it at a time
    ///
    /// It is for what is below these remotes: where it keeps files of others alone, that is an error.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// How many bytes of files are kept; those that were not used for the longest time make room [default: 10G]
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) cache_size: Option<u64>,
    /// What is kept, and when [default: on-demand with --cache, streamed without]
    #[arg(long, value_name = "POLICY", value_enum)]
    pub(crate) policy: Option<Policy>,
    /// Fetches what FILE lists, a path below the remote in each line, before it is asked for; - is standard input
    ///
    /// Blank lines and those that start with # are passed over. What is there and fresh is not fetched again. What has
    /// come of it is told on standard error, and in the access log for each path. With --policy immediate and without
    /// this, it is all that the lists of --digests name.
    #[arg(long, value_name = "FILE")]
    pub(crate) prefetch: Option<PathBuf>,
    /// How many files of --prefetch are fetched at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) prefetch_at_once: u16,
    /// Fetches what is to be kept to its end, also when all who have asked for it have left
    #[arg(long)]
    pub(crate) finish: bool,
    /// How much of a file on its way is in memory; where nothing is kept, a client further behind than that is cut
    #[arg(long, value_name = "BYTES", default_value = "256K", value_parser = amount)]
    pub(crate) buffer: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// A file is kept when it is first asked for
    OnDemand,
    /// The same, and files are fetched before they are asked for, and to their end in any case
    Immediate,
    /// Nothing is kept
    Streamed,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How long what is kept is fresh, where the remote does not say")]
pub(crate) struct Freshness {
    /// Serves what is not fresh any more for TIME, while it is asked for anew
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) stale_while_revalidate: Option<Duration>,
    /// Serves what is not fresh any more for TIME, when the remote fails
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) stale_if_error: Option<Duration>,
    /// How long it is remembered that there is nothing at a path; 0s asks every time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) negative: Duration,
    /// How long a file is fresh: this part of the time since it was last modified, in hundredths
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=100))]
    pub(crate) heuristic: u8,
    /// .. but no longer than that
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = time)]
    pub(crate) heuristic_limit: Duration,
    /// How long a file is fresh where nobody even knows when it was last modified
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(crate) lifetime: Duration,
    /// Heeds this header of the remote, where it is there, instead of Cache-Control and Expires (repeatable) [default:
    /// CDN-Cache-Control]
    ///
    /// Of several that are there, the one that is named first counts.
    #[arg(long = "heed-header", value_name = "NAME")]
    pub(crate) heeded: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Which headers pass")]
pub(crate) struct Headers {
    /// Passes this header of clients on to the remote, beside Accept, Accept-Language and Cache-Control (repeatable)
    #[arg(long = "pass-header", value_name = "NAME")]
    pub(crate) passed: Vec<String>,
    /// Passes all headers of clients on to the remote, but for credentials and Accept-Encoding
    #[arg(long)]
    pub(crate) pass_all_headers: bool,
    /// Passes the credentials of clients on to the remote: Authorization and Cookie
    ///
    /// What is answered to them is kept only where the remote says that others may have it, too.
    #[arg(long, conflicts_with_all = ["user", "netrc", "bearer_file"])]
    pub(crate) pass_credentials: bool,
    /// Hides this header of the remote from clients, beside cookies and challenges (repeatable)
    #[arg(long = "hide-header", value_name = "NAME")]
    pub(crate) hidden: Vec<String>,
    /// Shows clients this header of the remote, which is hidden else: Clear-Site-Data, say (repeatable)
    #[arg(long = "show-header", value_name = "NAME")]
    pub(crate) shown: Vec<String>,
    /// What it is called in the headers Via and Cache-Status
    #[arg(long, value_name = "NAME", default_value = "ganymede")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What clients may take")]
pub(crate) struct Bounds {
    /// How many requests are answered at a time; others get 503
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// How many connections there may be at a time; others get 503
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// How long the head of a request may be, from 8K on
    #[arg(long, value_name = "BYTES", default_value = "32K", value_parser = head)]
    pub(crate) header_size: u64,
    /// How many headers a request may have
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) header_count: u16,
    /// How long the path and the query of a request may be; a longer one gets 414
    #[arg(long, value_name = "BYTES", default_value = "8K", value_parser = amount)]
    pub(crate) url_size: u64,
    /// How long a client may read nothing of what it is sent; it may be slow, though
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub(crate) stall: Duration,
    /// How long a connection may wait for a request
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub(crate) idle: Duration,
    /// How long what is being answered may take when it is told to end
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) drain: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is told")]
pub(crate) struct Journal {
    /// Writes a line for each request to FILE; - is standard output, "none" writes none
    ///
    /// It tells the client, when, what was asked for without its query, the status, how many bytes of the body were sent,
    /// in how many seconds, how it was answered (hit, miss, collapsed, ..), "cut" if that was not the whole, and what
    /// the client says it is. No request waits for it: when it cannot be written, or not fast enough, lines are left
    /// out, which is told on standard error. To rotate FILE, rename it and send SIGHUP.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) access_log: PathBuf,
    /// How its lines are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub(crate) log_format: Format,
    /// Tells more of its work on standard error; twice: every attempt
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// A JSON object a line
    Json,
}

/// Parses the length of a head, which is never less than what its reader takes at once.
fn head(text: &str) -> Result<u64, String> {
    match size(text) {
        Ok(..8192) => Err("it must be 8K at least".to_owned()),
        parsed => parsed,
    }
}
