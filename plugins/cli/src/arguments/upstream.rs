//! How servers are spoken to, whatever is asked of them.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::quantity::{amount, duration};

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and credentials")]
pub(crate) struct Connection {
    /// Sends a name and a password to the hosts that are named, those of mirrors too
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
    /// Reads a bearer token from FILE and sends it to the hosts that are named, those of mirrors too
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
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How many, how often, how long")]
pub(crate) struct Patience {
    /// How many files are downloaded from one host at a time; unlimited unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) per_host: Option<u16>,
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
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How fast")]
pub(crate) struct Rate {
    /// How many bytes a second all downloads may take together, like 500K or 2M; unlimited unless given
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) limit_rate: Option<u64>,
    /// How many bytes a second the downloads from one host may take together
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) limit_rate_per_host: Option<u64>,
}
