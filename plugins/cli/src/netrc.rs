//! Names and passwords by host, as many programs share them in one file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use ganymede::{Context, Credentials, Failure, Protocol, Reply, Request};

/// The entries of a netrc file, in its order.
#[derive(Clone, Default)]
pub(crate) struct Netrc(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    /// `None` is the entry for every other host.
    host: Option<String>,
    login: Option<String>,
    password: Option<String>,
}

impl Netrc {
    /// Returns where the file is: what `NETRC` says, or `.netrc` in the user's folder.
    pub(crate) fn file() -> Option<PathBuf> {
        let named = env::var_os("NETRC").filter(|name| !name.is_empty()).map(PathBuf::from);
        named.or_else(|| env::home_dir().map(|home| home.join(".netrc")))
    }

    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Self::parse(&text).map_err(|reason| format!("{}, {reason}", file.display()))
    }

    /// Parses the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut words = Words { lines: text.lines(), number: 0, rest: "" };
        while let Some(word) = words.next()? {
            // What is wrong is told by its line: the words themselves may be secrets.
            let misplaced = |what: &str| format!("line {}: {what}", words.number);
            match word.as_str() {
                "machine" => {
                    let host = words.value("machine")?;
                    entries.push(Entry { host: Some(host), login: None, password: None });
                }
                "default" => entries.push(Entry { host: None, login: None, password: None }),
                "macdef" => words.pass_macro(),
                "login" | "password" | "account" => {
                    let Some(entry) = entries.last_mut() else {
                        return Err(misplaced(&format!("{word} before any machine")));
                    };
                    let value = words.value(&word)?;
                    match word.as_str() {
                        "login" => entry.login = Some(value),
                        "password" => entry.password = Some(value),
                        _ => {}
                    }
                }
                _ => {
                    return Err(misplaced(
                        "there is a word that is none of machine, default, login, password",
                    ));
                }
            }
        }
        Ok(Self(entries))
    }

    /// Returns what the first entry for a host says.
    pub(crate) fn credentials(&self, host: &str) -> Option<Credentials> {
        let fits = |entry: &&Entry| entry.host.as_ref().is_none_or(|named| named.eq_ignore_ascii_case(host));
        let entry = self.0.iter().find(fits)?;
        let password = entry.password.clone().unwrap_or_default();
        Some(Credentials::password(entry.login.clone()?, password))
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netrc").field("entries", &self.0.len()).finish_non_exhaustive()
    }
}

/// The words of a file, of which some stand in quotes.
struct Words<'a> {
    lines: std::str::Lines<'a>,
    number: usize,
    rest: &'a str,
}

impl Words<'_> {
    fn next(&mut self) -> Result<Option<String>, String> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.is_empty() && !self.rest.starts_with('#') {
                return self.word().map(Some);
            }
            let Some(line) = self.lines.next() else { return Ok(None) };
            self.rest = line;
            self.number += 1;
        }
    }

    /// Reads what follows a keyword. A password may start with a `#`.
    fn value(&mut self, keyword: &str) -> Result<String, String> {
        self.rest = self.rest.trim_start();
        if !self.rest.is_empty() {
            return self.word();
        }
        let value = self.next()?;
        value.ok_or_else(|| format!("line {}: {keyword} is the last word", self.number))
    }

    fn word(&mut self) -> Result<String, String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(word.to_owned());
        };
        let mut word = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') => word.extend(characters.next()),
                Some(character) => word.push(character),
                None => return Err(format!("line {}: a quote is opened and not closed", self.number)),
            }
        }
        self.rest = characters.as_str();
        Ok(word)
    }

    /// Passes over the text of a macro, which an empty line ends.
    fn pass_macro(&mut self) {
        self.rest = "";
        for line in self.lines.by_ref() {
            self.number += 1;
            if line.trim().is_empty() {
                break;
            }
        }
    }
}

/// A protocol with credentials by host.
///
/// A protocol rather than a handler, so that what fetches a mirror list has them, too.
#[derive(Debug)]
pub(crate) struct WithNetrc<P> {
    protocol: P,
    netrc: Arc<Netrc>,
}

impl<P> WithNetrc<P> {
    pub(crate) fn new(protocol: P, netrc: Netrc) -> Self {
        Self { protocol, netrc: Arc::new(netrc) }
    }
}

impl<P: Protocol> Protocol for WithNetrc<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        // On an origin that only a server has named, they would go to the origin that the caller has named.
        let known = match request.url().host_str() {
            Some(host) if request.is_trusted() && request.credentials().is_none() => {
                self.netrc.credentials(host)
            }
            _ => None,
        };
        if known.is_none() {
            return self.protocol.send(request, context);
        }
        let mut request = request.clone();
        request.set_credentials(known);
        self.protocol.send(&request, context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_a_host_counts_and_default_is_for_all_others() {
        let text = "# mine\nmachine one.example login amy password \"a \\\"b\" # yes\nmacdef init\nmachine x\n\n\
            machine two.example\n  login bob\n  account z\n  password #1\nmachine one.example login eve\n\
            default login anonymous password me@example.com";
        let netrc = Netrc::parse(text).unwrap();
        let found = |host| netrc.credentials(host).unwrap();
        assert_eq!(found("ONE.example"), Credentials::password("amy", "a \"b"));
        assert_eq!(found("two.example"), Credentials::password("bob", "#1"));
        assert_eq!(found("x"), Credentials::password("anonymous", "me@example.com"));
        assert!(Netrc::parse("machine a login b").unwrap().credentials("c").is_none());
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_without_a_secret() {
        for (text, line) in [
            ("\nlogin amy", "line 2: login before any machine"),
            ("machine a login b\nsecret", "line 2: there is a word"),
            ("machine a\npassword", "line 2: password is the last word"),
            ("machine a password \"secret", "line 1: a quote"),
        ] {
            let error = Netrc::parse(text).unwrap_err();
            assert!(error.starts_with(line) && !error.contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", Netrc::parse("machine a password secret").unwrap()).contains("secret"));
    }
}
