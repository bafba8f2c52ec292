//! Keeping to what is public.

use ganymede_kit::{Folder, Origin, Reply};

use crate::ganymede::get;

#[test]
fn nothing_of_this_machine_is_asked_when_only_what_is_public_may_be() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let written = url.replace("127.0.0.1", "0x7f.1");
    let file = format!("file://{}", folder.write("here", "secret").display());
    for url in [&*url, &*origin.url_at("localhost", "/file"), &*written, &*file] {
        let run = get(&folder, ["--json", "--public-only", "-o", "there", url]).exited(1);
        let failed = run.event("failed");
        assert_eq!(
            (&failed["error"]["kind"], &failed["attempts"]),
            (&"forbidden".into(), &1.into()),
            "{url}"
        );
    }
    get(&folder, ["--public-only", &url]).exited(1).says("leave --public-only out");
    assert_eq!((origin.connections(), folder.entries()), (0, vec!["here".to_owned()]));
    get(&folder, [url]).exited(0);
}

#[test]
fn it_counts_for_mirrors_and_their_lists_too() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok("content"));
    let list = origin.on("/list", Reply::ok("/file"));
    let run = get(&folder, ["--json", "--public-only", "--mirror-list", &list, "-o", "there"]).exited(1);
    let message = run.event("failed")["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("127.0.0.1"), "{message}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn it_goes_with_credentials_of_every_kind() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    folder.write(".netrc", "default login amy password secret");
    folder.write("token", "t0k.en");
    for credentials in [&["--netrc"][..], &["--user", "amy:secret"], &["--bearer-file", "token"]] {
        let run = get(&folder, ["--json", "--public-only", &url].iter().chain(credentials)).exited(1);
        assert_eq!(run.event("failed")["error"]["kind"], "forbidden", "{credentials:?}");
    }
    assert_eq!(origin.connections(), 0);
}
