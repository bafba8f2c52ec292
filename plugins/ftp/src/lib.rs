#![doc = include_str!("../README.md")]

mod body;
mod client;
mod dialer;
mod encoding;
mod failure;
mod pool;
mod protocol;
mod session;
mod settings;
mod target;
mod tls;
mod wire;

pub use protocol::{Ftp, FtpDownload};
pub use settings::Explicit;
