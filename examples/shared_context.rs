//! Logs in once, however many downloads need the token at the same time.
//!
//! `cargo run --example shared_context -- LOGIN BASE FOLDER COUNT`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::path::Path;

use ganymede::{
    Action, Batch, BufferWriter, Context, Credentials, Download, ErrorKind, Event, EventHandler, Failure,
    FileWriter, HttpDownload, SlotKey,
};

/// The key under which a context keeps the token of a login page.
#[derive(PartialEq, Eq, Hash)]
struct Token(String);

impl SlotKey for Token {
    type Value = String;
}

/// Gives each download the token: the first one logs in, those that come meanwhile wait for it.
#[derive(Clone)]
struct LoginDelegate(String);

impl LoginDelegate {
    fn log_in(&self, context: &Context) -> Result<String, Failure> {
        let page = BufferWriter::new(4096);
        let mut download = HttpDownload::get(&self.0)?.user("amy", "secret").writer(page.clone());
        download.run(context).map_err(|error| error.failure().clone())?;
        String::from_utf8(page.take().unwrap_or_default())
            .map_err(|_| Failure::new(ErrorKind::Unauthorized, "the login page gave no token"))
    }
}

impl EventHandler for LoginDelegate {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        let Event::Prepared { request } = event else { return Action::Continue };
        match context.slot(Token(self.0.clone()), |context| self.log_in(context)) {
            Ok(token) => request.set_credentials(Some(Credentials::bearer(token.trim()))),
            Err(failure) => return Action::Fail(failure),
        }
        Action::Continue
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [login, base, folder, count] = arguments.as_slice() else {
        return Err("usage: shared_context LOGIN BASE FOLDER COUNT".into());
    };

    let login = LoginDelegate(login.clone());
    let downloads = (1..=count.parse()?).map(|number: u64| -> Result<HttpDownload, Failure> {
        let file = Path::new(folder).join(number.to_string());
        let download = HttpDownload::get(&format!("{base}/{number}"))?;
        Ok(download.handler(login.clone()).writer(FileWriter::new(file)))
    });
    for plan in Batch::try_new(downloads).context(&Context::new()) {
        let (_, result) = plan?.into_parts();
        println!("{} bytes", result?.facts().size());
    }
    Ok(())
}
