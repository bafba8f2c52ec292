//! The access log.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ganymede_streamer::Access;

use crate::arguments::{Format, Journal};
use crate::settings::Usage;

use super::destination::Destination;
use super::lines::Lines;
use super::messages::Messages;

/// Opens the log, if there is to be one.
pub(crate) fn open(journal: &Journal, messages: &Messages) -> Result<Option<Arc<Lines<Access>>>, Usage> {
    let path = journal.access_log.as_path();
    if path == Path::new("none") {
        return Ok(None);
    }
    let failed = |error| {
        let path = path.display();
        format!(
            "--access-log: cannot write {path}: {error}; name another file, - for standard output, or none"
        )
    };
    let destination = match path == Path::new("-") {
        true => Destination::Output,
        false => Destination::file(path).map_err(failed)?,
    };
    let messages = messages.clone();
    let complain = Box::new(move |text| messages.tell(format!("the access log, {text}")));
    // Writing into memory does not fail.
    let lines = match journal.log_format {
        Format::Text => Lines::start(destination, |access, block| drop(write!(block, "{access}")), complain),
        Format::Json => {
            Lines::start(destination, |access: &Access, block| block.extend(access.json().bytes()), complain)
        }
    };
    Ok(Some(Arc::new(lines.map_err(failed)?)))
}
