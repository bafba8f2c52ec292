//! The command's netrc files: any password can be quoted, and none is in a message.
#![no_main]

#[allow(dead_code, reason = "only the parser is under test")]
#[path = "../../../plugins/cli/src/netrc.rs"]
mod netrc;

use ganymede::Credentials;
use libfuzzer_sys::fuzz_target;

use netrc::Netrc;

fuzz_target!(|text: &str| {
    match Netrc::parse(text) {
        Ok(netrc) => {
            let credentials = netrc.credentials("host.example");
            assert!(credentials.is_none() || text.contains("login"));
            assert_eq!(credentials, netrc.credentials("HOST.EXAMPLE"));
        }
        Err(reason) => assert!(reason.starts_with("line ") && reason.len() < 100, "{reason:?}"),
    }
    let secret = text.replace(['\n', '\r'], " ");
    let quoted = secret.replace('\\', "\\\\").replace('"', "\\\"");
    let file =
        format!("machine other login x password y\nmachine h login \"{quoted}\" password \"{quoted}\"\n");
    let netrc = Netrc::parse(&file).expect("a file");
    assert_eq!(netrc.credentials("h"), Some(Credentials::password(secret.clone(), secret)));
});
