//! Commands as bytes: paths as they are in the URL, and a password that no log sees.

use std::{fmt, io};

use suppaftp::Encoding;

/// What stands for the password in commands: the client library writes those into its log.
pub(crate) const HIDDEN: &str = "********";

/// The encoding of commands: each character is a byte, as [`octets`] makes them, and the password is put into its
/// command.
pub(crate) struct Octets {
    pub(crate) password: Option<String>,
}

/// Returns bytes as a text whose characters are those bytes.
pub(crate) fn octets(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

impl Encoding for Octets {
    fn decode(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn encode(&self, text: &str) -> io::Result<Vec<u8>> {
        if let Some(password) = &self.password
            && let Some(end) = text.strip_prefix("PASS ").and_then(|text| text.strip_prefix(HIDDEN))
        {
            return Ok([b"PASS ", password.as_bytes(), end.as_bytes()].concat());
        }
        let byte = |character| u8::try_from(u32::from(character));
        text.chars().map(byte).collect::<Result<_, _>>().map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Octets")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_path_is_sent_as_it_is() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Octets { password: None }.encode(&octets(&all)).unwrap(), all);
        assert!(Octets { password: None }.encode("€").is_err());
    }

    #[test]
    fn the_password_is_in_its_command_only_and_never_shown() {
        let encoding = Octets { password: Some("sécret".to_owned()) };
        let command = format!("PASS {HIDDEN}\r\n");
        assert_eq!(encoding.encode(&command).unwrap(), "PASS sécret\r\n".as_bytes());
        assert_eq!(encoding.encode("RETR ********\r\n").unwrap(), b"RETR ********\r\n");
        assert!(!format!("{encoding:?}").contains("cret"));
    }
}
