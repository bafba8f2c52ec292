//! What is made of the description of the command line: completions, and man pages.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;

/// Makes the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut page = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ganymede", &mut page);
    page
}

/// Returns the man page of a command, or of the whole, as the build has made it.
pub(crate) fn man(command: Option<&str>) -> &'static str {
    match command {
        Some("get") => include_str!(concat!(env!("OUT_DIR"), "/man/ganymede-get.1")),
        #[cfg(feature = "stream")]
        Some("stream") => include_str!(concat!(env!("OUT_DIR"), "/man/ganymede-stream.1")),
        Some("completions") => include_str!(concat!(env!("OUT_DIR"), "/man/ganymede-completions.1")),
        Some("man") => include_str!(concat!(env!("OUT_DIR"), "/man/ganymede-man.1")),
        _ => include_str!(concat!(env!("OUT_DIR"), "/man/ganymede.1")),
    }
}
