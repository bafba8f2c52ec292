//! What nobody may see: neither in what is printed, nor in what is stored beside the files.

use ganymede_kit::{Folder, Origin, Proxy, Reply, pattern};

use crate::ganymede::{Finished, get, start};
use crate::interrupting::interrupted;

/// Each secret of these tests has this in it.
const SECRET: &str = "s3cr3t";

/// Asserts that no secret was printed, and none is in a file of the folder that is not the user's own.
#[track_caller]
fn assert_none(run: &Finished, folder: &Folder, own: &[&str]) {
    let printed = format!("{}{}", run.stderr, run.text());
    assert!(!printed.contains(SECRET), "{printed}");
    for entry in
        folder.entries().iter().filter(|entry| !own.contains(&entry.as_str()) && !entry.ends_with('/'))
    {
        let content = String::from_utf8_lossy(&folder.read(entry)).into_owned();
        assert!(!content.contains(SECRET) && !entry.contains(SECRET), "{entry}: {content}");
    }
}

/// The ways to be told as much as there is.
const TALKATIVE: [&[&str]; 2] =
    [&["-vv", "--progress", "always"], &["-vv", "--json", "--progress", "always"]];

/// An origin that wants credentials, and redirects to one with a signature that stalls, and then does not.
fn signed() -> (Origin, Origin, String) {
    let (origin, store) = (Origin::start(), Origin::start());
    let whole = Reply::ok(pattern(1_000_000)).etag("\"one\"").ranges();
    let target = format!(
        "{}?Signature=s3cr3t-a",
        store.sequence("/stored", [whole.clone().stall_after(400_000), whole])
    );
    let url = origin.on("/file", Reply::redirect(302, target).header("Set-Cookie", "session=s3cr3t-b"));
    (origin, store, url)
}

fn interrupt_stalled(folder: &Folder, arguments: &[&str]) -> Finished {
    let child = start(folder, ["get"].iter().chain(arguments));
    let part = folder.file(".file.ganymede-part");
    let stored = || part.metadata().is_ok_and(|there| there.len() >= 400_000);
    ganymede_kit::wait_until("the bytes in the partial file", stored);
    interrupted(child)
}

#[test]
fn none_is_in_what_is_told_or_kept_of_an_interrupted_run_or_in_what_goes_on_with_it() {
    for talkative in TALKATIVE {
        let (folder, (_origin, store, url)) = (Folder::new(), signed());
        let url = url.replace("http://", "http://amy:s3cr3t-c@");
        let proxy = Proxy::basic("amy", "s3cr3t-d");
        let proxy_url = proxy.url().replace("http://", "http://amy:s3cr3t-d@");
        let mirror = "http://bob:s3cr3t-e@127.0.0.1:1/";
        let options = ["-H", "X-Token: s3cr3t-f", "--proxy", &proxy_url, "--mirror", mirror, &url];
        let arguments: Vec<&str> = talkative.iter().copied().chain(options).collect();
        let run = interrupt_stalled(&folder, &arguments);
        assert_none(&run, &folder, &[]);
        assert_eq!(folder.entries(), [".file.ganymede-part", ".file.ganymede-state"]);
        let run = get(&folder, &arguments).exited(0);
        assert_none(&run, &folder, &[]);
        assert_eq!(folder.read("file"), pattern(1_000_000));
        assert_eq!(store.journal()[1].header("range"), Some("bytes=400000-"));
        assert!(proxy.journal().len() >= 2);
    }
}

#[test]
fn credentials_from_options_and_files_are_in_nothing_either() {
    for credentials in [&["--user", "amy:s3cr3t-a"][..], &["--bearer-file", "token"], &["--netrc"]] {
        for talkative in TALKATIVE {
            let (folder, (_origin, _store, url)) = (Folder::new(), signed());
            folder.write("token", "s3cr3t-b");
            folder.write(".netrc", "default login amy password s3cr3t-c");
            let arguments: Vec<&str> = talkative.iter().chain(credentials).copied().chain([&*url]).collect();
            let run = interrupt_stalled(&folder, &arguments);
            assert_none(&run, &folder, &["token", ".netrc"]);
        }
    }
}

#[test]
fn a_signature_is_only_where_the_url_is_named_that_the_user_gave() {
    for talkative in TALKATIVE {
        let (folder, origin) = (Folder::new(), Origin::start());
        let whole = Reply::ok(pattern(1_000_000)).etag("\"one\"").ranges();
        let url = format!("{}?Signature=s3cr3t", origin.on("/file", whole.stall_after(400_000)));
        let arguments: Vec<&str> = talkative.iter().copied().chain([&*url]).collect();
        let run = interrupt_stalled(&folder, &arguments);
        let told = format!("{}{}", run.stderr, run.text());
        // Told of is the URL as it was given, and nothing else that holds its signature.
        assert!(told.contains(&url), "{told}");
        let rest = Finished { stderr: told.replace(&url, ""), stdout: Vec::new(), ..run };
        assert_none(&rest, &folder, &[]);
        assert_eq!(folder.entries(), [".file.ganymede-part", ".file.ganymede-state"]);
    }
}

#[test]
fn failures_of_every_kind_tell_no_secret() {
    let store = Origin::start();
    let cut = Reply::ok(pattern(1000)).cut_after(10);
    let ends = [
        store.on("/404", Reply::error(404)),
        store.on("/cut", cut),
        store.on("/loop", Reply::redirect(302, "/loop?Signature=s3cr3t")),
        store.on("/scheme", Reply::redirect(302, "ftp://amy:s3cr3t@example.com/?s3cr3t")),
        store.on("/nonsense", Reply::redirect(302, "http://amy:s3cr3t@host:x/?s3cr3t")),
        store.on("/local", Reply::redirect(302, "file:///etc/hostname?s3cr3t")),
        store.on("/noise", Reply::raw("s3cr3t is not HTTP\r\n\r\n")),
        store.on("/held", Reply::error(503).header("Retry-After", "9999")),
        "http://127.0.0.1:1/refused".to_owned(),
    ];
    for end in ends {
        for talkative in TALKATIVE {
            let (folder, origin) = (Folder::new(), Origin::start());
            let url = origin.on("/file", Reply::redirect(302, format!("{end}?Signature=s3cr3t-a")));
            let url = url.replace("http://", "http://amy:s3cr3t-b@");
            let arguments = ["--retries", "1", "-H", "X-Token: s3cr3t-c", &url];
            let run = get(&folder, talkative.iter().chain(&arguments)).exited(1);
            assert_none(&run, &folder, &[]);
            assert!(folder.entries().is_empty(), "{end}");
        }
    }
}
