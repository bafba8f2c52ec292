//! Credentials and headers: who gets to see them, and who does not.

use ganymede_kit::{Folder, Origin, Reply};

use crate::ganymede::{command, finish, get};

/// `amy:secret` and `bob:hidden`, as basic authentication writes them.
const AMY: &str = "Basic YW15OnNlY3JldA==";

#[test]
fn user_and_password_reach_the_server_from_the_command_line_or_a_file() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content").require_basic("amy", "secret"));
    get(&folder, [&url]).exited(1).says("--user, --netrc or --bearer-file");
    get(&folder, ["--user", "amy:secret", &url]).exited(0);
    folder.write("password", "secret\r\n");
    get(&folder, ["--user", "amy", "--password-file", "password", &url]).exited(0);
    get(&folder, [url.replace("http://", "http://amy:secret@")]).exited(0);
    assert_eq!(origin.journal().iter().filter(|one| one.header("authorization") == Some(AMY)).count(), 3);
}

#[test]
fn a_bearer_token_comes_from_a_file() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content").require_bearer("t0k.en"));
    folder.write("token", "t0k.en\n");
    get(&folder, ["--bearer-file", "token", &url]).exited(0);
    assert_eq!(folder.read("file"), b"content");
}

#[test]
fn netrc_gives_each_host_its_own_and_the_command_line_wins() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let amy = origin.on("/amy", Reply::ok("a").require_basic("amy", "secret"));
    let bob = Reply::ok("b").require_basic("bob", "hid den");
    origin.on("/bob", bob);
    let bob = origin.url_at("localhost", "/bob");
    let netrc =
        "machine 127.0.0.1 login amy password secret\nmachine localhost\n login bob password \"hid den\"\n";
    folder.write(".netrc", netrc);
    get(&folder, ["--netrc", &amy, &bob]).exited(0);
    get(&folder, [&amy]).exited(1);
    get(&folder, ["--netrc", "--user", "eve:x", &amy]).exited(1);
    std::fs::rename(folder.file(".netrc"), folder.file("elsewhere")).unwrap();
    get(&folder, ["--netrc", &amy]).exited(2).says(".netrc");
    let mut run = command(&folder);
    finish(run.env("NETRC", "elsewhere").args(["get", "--netrc", &amy]).spawn().unwrap()).exited(0);
}

#[test]
fn netrc_serves_the_fetching_of_a_mirror_list_too() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let list = origin.on("/list", Reply::ok("m/").require_basic("amy", "secret"));
    origin.on("/m/file", Reply::ok("content").require_basic("amy", "secret"));
    folder.write(".netrc", "default login amy password secret");
    get(&folder, ["--netrc", "--mirror-list", &list, "-o", "file"]).exited(0);
    assert_eq!(folder.read("file"), b"content");
}

#[test]
fn what_netrc_has_for_a_listed_mirror_does_not_reach_the_host_of_the_list() {
    let (folder, origin, mirror) = (Folder::new(), Origin::start(), Origin::start());
    let back = origin.on("/back", Reply::ok("content"));
    mirror.on("/file", Reply::redirect(302, back));
    let list = origin.on("/list", Reply::ok(mirror.url_at("localhost", "/file")));
    folder.write(".netrc", "machine localhost login bob password hidden");
    get(&folder, ["--netrc", "--mirror-list", &list, "-o", "file"]).exited(0);
    assert_eq!(folder.read("file"), b"content");
    assert_eq!(origin.requests("/back"), 1);
    assert!(origin.journal().iter().all(|received| received.header("authorization").is_none()));
}

#[test]
fn nothing_of_the_users_follows_a_redirect_to_another_origin() {
    let folder = Folder::new();
    for credentials in ["--user=amy:secret", "--bearer-file=token", "--netrc"] {
        let (origin, other) = (Origin::start(), Origin::start());
        let target = other.on("/target", Reply::ok("content"));
        let url = origin.on("/file", Reply::redirect(302, target));
        folder.write("token", "t0k.en");
        // The other origin has the same host, but not the same port.
        folder.write(".netrc", "machine 127.0.0.1 login amy password secret");
        get(&folder, [credentials, "-H", "X-Token: tok", "-H", "Cookie: a=b", &url]).exited(0);
        let (first, second) = (origin.journal().remove(0), other.journal().remove(0));
        assert!(first.header("authorization").is_some() && first.header("x-token") == Some("tok"));
        for header in ["authorization", "x-token", "cookie"] {
            assert_eq!(second.header(header), None, "{credentials}");
        }
    }
}

#[test]
fn headers_reach_the_server_and_stay_on_a_redirect_within_it() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let target = origin.on("/target", Reply::ok("content"));
    let url = origin.on("/file", Reply::redirect(307, target));
    get(&folder, ["-H", "X-One: 1", "--header", "Accept:text/plain", &url]).exited(0);
    for received in origin.journal() {
        assert_eq!((received.header("x-one"), received.header("accept")), (Some("1"), Some("text/plain")));
        assert_eq!(received.header("accept-encoding"), Some("identity"));
    }
    assert_eq!(origin.journal().len(), 2);
}

#[test]
fn no_secret_is_printed_however_much_is_told() {
    let (folder, origin, other) = (Folder::new(), Origin::start(), Origin::start());
    let mirror = other.on("/mirror", Reply::redirect(302, other.on("/end", Reply::ok("content"))));
    let broken = origin.sequence("/file", [Reply::error(503), Reply::error(404)]);
    let url = broken.replace("http://", "http://amy:s3cr3t-a@");
    let mirror = mirror.replace("http://", "http://bob:s3cr3t-b@");
    folder.write("token", "s3cr3t-c");
    for output in [&["-vv"][..], &["-vv", "--json"], &["-vv", "--dry-run"], &["-vv", "--json", "--dry-run"]] {
        let arguments = ["-H", "X-Token: s3cr3t-d", "--bearer-file", "token", "--mirror", &mirror, &url];
        let run = get(&folder, output.iter().chain(&arguments)).exited(0);
        let all = format!("{}{}", run.stderr, run.text());
        assert!(all.contains(&broken) && !all.contains("s3cr3t"), "{all}");
    }
    let run =
        get(&folder, ["-vv", "--retries", "0", "--user", "amy:s3cr3t", &origin.url("/absent")]).exited(1);
    assert!(run.stderr.contains("attempt failed") && !run.stderr.contains("s3cr3t"), "{}", run.stderr);
}
