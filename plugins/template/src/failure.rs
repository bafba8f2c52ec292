//! What the server's errors mean.

use ganymede::{ErrorKind, Failure};

/// Turns an error of the server into a failure: its first word is for programs, what follows may repeat a password.
pub(crate) fn refused(text: &str) -> Failure {
    let word = text.split_whitespace().next().unwrap_or_default();
    let kind = match word {
        "NOAUTH" | "NOPERM" | "WRONGPASS" => ErrorKind::Unauthorized,
        "WRONGTYPE" => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    let passes = matches!(word, "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "TRYAGAIN");
    Failure::new(kind, format!("the server answered {word}")).transient(passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_a_person_must_mend_is_not() {
        assert!(refused("LOADING Redis is loading the dataset in memory").is_transient());
        let denied = refused("WRONGPASS invalid username-password pair");
        assert!(matches!(denied.kind(), ErrorKind::Unauthorized) && !denied.is_transient());
    }

    #[test]
    fn what_the_server_repeats_is_not_told() {
        let failure = refused("ERR unknown command 'AUTH', with args beginning with: 'amy' 'secret'");
        assert_eq!(failure.to_string(), "the server answered ERR");
    }
}
