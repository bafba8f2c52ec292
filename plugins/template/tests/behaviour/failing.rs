//! How it fails: the kinds that others act on, and no secret in any of them.

use ganymede::{Credentials, DownloadError, ErrorKind};
use ganymede_kit::Refusing;

use super::server::Server;
use super::{fetch, get};

fn answered(line: &'static str) -> DownloadError {
    let server = Server::start();
    server.answer(line);
    fetch(get(&server.url("key"))).unwrap_err()
}

#[test]
fn what_is_missing_is_not_found_and_an_empty_value_is_there() {
    let server = Server::start();
    assert!(fetch(get(&server.url("key"))).unwrap_err().is_not_found());
    assert_eq!(fetch(get(&server.set("key", ""))).unwrap().0, b"");
}

#[test]
fn a_password_opens_and_a_wrong_one_is_told_to_nobody() {
    let server = Server::start();
    server.require("secret");
    let url = server.set("key", "hello");
    let named = url.replace("://", "://:secret@");
    assert_eq!(fetch(get(&named)).unwrap().0, b"hello");
    assert_eq!(fetch(get(&url).credentials(Credentials::password("amy", "secret"))).unwrap().0, b"hello");
    for wrong in [get(&url), get(&url.replace("://", "://:hidden@"))] {
        let error = fetch(wrong).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unauthorized) && !error.is_transient(), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
}

#[test]
fn what_the_server_says_has_its_kind() {
    assert!(matches!(answered("-WRONGTYPE a list\r\n").kind(), ErrorKind::Unsupported));
    assert!(answered("-LOADING later\r\n").is_transient());
    for odd in ["HTTP/1.1 400 Bad Request\r\n", ":many\r\n", "$-1\r\n", "\r\n", "é\r\n"] {
        assert!(matches!(answered(odd).kind(), ErrorKind::Malformed), "{odd:?}");
    }
}

#[test]
fn nobody_there_is_no_connection_which_may_pass() {
    let refusing = Refusing::start();
    let error = fetch(get(&refusing.url("redis", "/key"))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connect) && error.is_transient(), "{error:?}");
}
