//! Object stores, as sources and as where files go.

#[path = "../../../store/tests/store/server.rs"]
#[allow(dead_code, reason = "it is made for the tests of the stores, too")]
pub(crate) mod server;

use std::process::Command;

use ganymede_kit::{Break, Folder, Origin, Passage, Relay, Reply, pattern};

use crate::ganymede::{Finished, command, digest, finish};
use server::{Act, Asked, ID, SECRET, Server};

/// The command `get` with the credentials of the server in its environment.
fn at(endpoint: &str, folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = command(folder);
    command.arg("get").args(arguments).env("AWS_ENDPOINT_URL", endpoint);
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

#[track_caller]
fn get(server: &Server, folder: &Folder, arguments: &[&str]) -> Finished {
    finish(at(&server.endpoint(), folder, arguments).spawn().unwrap())
}

#[test]
fn an_object_is_a_source_like_any_other() {
    let (server, folder) = (Server::start(), Folder::new());
    let content = pattern(300_000);
    let url = server.put("some images/a+b 100%.iso", &content);
    let sum = format!("sha256={}", digest("sha256", &content));
    get(&server, &folder, &["--digest", &sum, &url]).exited(0);
    assert!(folder.read("a+b 100%.iso") == content);
    let wrong = format!("md5={}", "0".repeat(32));
    let run = get(&server, &folder, &["-o", "other", "--json", "--digest", &wrong, &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "digest-mismatch");
    assert_eq!(folder.entries(), ["a+b 100%.iso"]);
}

#[test]
fn objects_are_in_lists_and_mirrors_of_other_sources() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let one = server.put("one", b"1");
    let two = server.put("two", b"2");
    let broken = origin.url("/two");
    folder.write("list", format!("{one}\n{broken} mirror={two} out=second\n"));
    get(&server, &folder, &["-i", "list"]).exited(0);
    assert_eq!((folder.read("one"), folder.read("second")), (b"1".to_vec(), b"2".to_vec()));
    let run = get(&server, &folder, &["--dry-run", &one, "s3://bucket/three"]).exited(0);
    assert!(run.text().contains("three"), "{}", run.text());
}

#[test]
fn an_interrupted_object_is_gone_on_with_by_the_same_command() {
    let (server, folder) = (Server::start(), Folder::new());
    let content = pattern(2 << 20);
    let url = server.put("a", &content);
    let relay = Relay::start(server.address(), [Passage::After(900_000, Break::Close), Passage::Pass]);
    let endpoint = relay.url("http", "");
    let run = || finish(at(&endpoint, &folder, &["--retries", "0", &url]).spawn().unwrap());
    run().exited(1).says("the same command goes on with it");
    run().exited(0);
    assert!(folder.read("a") == content);
    assert!(server.journal().iter().any(|asked| asked.header("range").is_some()));
}

#[test]
fn files_go_to_a_prefix_and_lists_name_their_keys() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let content = pattern(12 << 20);
    let large = origin.on("/large%20file", Reply::ok(content.clone()));
    let small = origin.on("/small", Reply::ok("small"));
    folder.write("list", format!("{large}\n{small} out='x/100% small'\n{small} out=s3://bucket/elsewhere\n"));
    let run = get(&server, &folder, &["-d", "s3://bucket/p/", "--json", "-i", "list"]).exited(0);
    assert_eq!(server.keys(), ["elsewhere", "p/large file", "p/x/100% small"]);
    assert!(server.get("p/large file").unwrap() == content);
    let mut paths: Vec<String> =
        run.events().iter().filter_map(|event| event["path"].as_str().map(str::to_owned)).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths, ["s3://bucket/elsewhere", "s3://bucket/p/large file", "s3://bucket/p/x/100% small"]);
    assert_eq!(folder.entries(), ["list"]);
    assert_eq!(server.unfinished(), [""; 0]);
}

#[test]
fn a_single_file_goes_to_an_object_and_from_one_bucket_to_another_place() {
    let (server, folder) = (Server::start(), Folder::new());
    let url = server.put("a", b"hello");
    get(&server, &folder, &["-v", "-o", "s3://bucket/b%20c", &url]).exited(0).says("s3://bucket/b%20c");
    assert_eq!(server.get("b c").as_deref(), Some(&b"hello"[..]));
}

#[test]
fn a_wrong_digest_leaves_nothing_in_the_bucket() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let url = origin.on("/a", Reply::ok(pattern(20 << 20)));
    let wrong = format!("md5={}", "0".repeat(32));
    get(&server, &folder, &["-d", "s3://bucket", "--digest", &wrong, &url])
        .exited(1)
        .says("nothing was stored");
    assert!(server.count(Asked::is_part) > 0);
    assert_eq!((server.keys(), server.unfinished()), (Vec::new(), Vec::new()));
}

#[test]
fn what_is_there_is_replaced_kept_or_fails_as_for_files() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let url = origin.on("/a", Reply::ok("new"));
    server.put("a", b"old");
    let run = |existing: &str| {
        get(&server, &folder, &["--json", "-d", "s3://bucket", "--existing", existing, &url])
    };
    assert_eq!(run("skip").exited(0).event("kept")["path"], "s3://bucket/a");
    let failed = run("fail").exited(1).event("failed");
    assert_eq!(failed["error"]["kind"], "write");
    assert!(failed["error"]["message"].as_str().unwrap().contains("is there already"), "{failed}");
    assert_eq!((server.get("a").as_deref(), origin.requests("/a")), (Some(&b"old"[..]), 0));
    run("replace").exited(0);
    assert_eq!(server.get("a").as_deref(), Some(&b"new"[..]));
    server.put("a", b"old");
    let other = origin.on("/b", Reply::ok("b"));
    get(&server, &folder, &["-d", "s3://bucket", "--existing", "fail", &other]).exited(0);
    assert_eq!(server.get("b").as_deref(), Some(&b"b"[..]));
}

#[test]
fn options_that_make_no_sense_for_objects_are_refused_by_name() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let url = origin.on("/a", Reply::ok("new"));
    for option in
        [&["--durable"][..], &["--wait-for-space"], &["--existing", "update"], &["--existing", "verify"]]
    {
        for target in [["-d", "s3://bucket/p"], ["-o", "s3://bucket/p"]] {
            let arguments: Vec<&str> = option.iter().chain(&target).copied().chain([&*url]).collect();
            get(&server, &folder, &arguments).exited(2).says(&option.join(" ")).says("object store");
        }
    }
    get(&server, &folder, &["--remote-name", "-d", "s3://bucket", &url]).exited(2).says("--remote-name");
    get(&server, &folder, &["-o", "s3://bucket", &url]).exited(2).says("names a folder");
    get(&server, &folder, &["-d", "s3://bucket/a?b", &url]).exited(2).says("query");
    folder.write("list", format!("{url} out=s3://bucket/a\n"));
    get(&server, &folder, &["--durable", "-i", "list"]).exited(1).says("--durable is for files");
    assert_eq!(server.count(|_| true), 0);
    assert_eq!((origin.requests("/a"), folder.entries()), (0, vec!["list".to_owned()]));
}

#[test]
fn two_downloads_do_not_get_the_same_key_and_names_stay_below_the_prefix() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let (one, two) = (origin.on("/x/a", Reply::ok("1")), origin.on("/y/a", Reply::ok("2")));
    let run = get(&server, &folder, &["-j", "1", "-d", "s3://bucket/p", &one, &two]).exited(1);
    assert!(run.stderr.contains("s3://bucket/p/a is already the file of another download"), "{}", run.stderr);
    folder.write("list", format!("{two} out=../secret\n"));
    get(&server, &folder, &["-d", "s3://bucket/p", "-i", "list"]).exited(1).says("names no object");
    assert_eq!((server.keys(), server.get("p/a").unwrap()), (vec!["p/a".to_owned()], b"1".to_vec()));
}

#[test]
fn wrong_and_missing_credentials_are_told_with_what_to_do_and_without_them() {
    let (server, folder) = (Server::start(), Folder::new());
    let url = server.put("a", b"hello");
    let mut wrong = at(&server.endpoint(), &folder, &["-vv", &url]);
    let run = finish(wrong.env("AWS_SECRET_ACCESS_KEY", "wrong-secret").spawn().unwrap()).exited(1);
    assert!(run.stderr.contains("does not accept these credentials"), "{}", run.stderr);
    assert!(run.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", run.stderr);
    assert!(!run.stderr.contains("wrong-secret"), "{}", run.stderr);
    let mut none = at(&server.endpoint(), &folder, &[&url]);
    none.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let run = finish(none.env("AWS_EC2_METADATA_DISABLED", "true").spawn().unwrap()).exited(1);
    assert!(run.stderr.contains("there are no credentials for s3://bucket/a"), "{}", run.stderr);
    assert!(folder.entries().is_empty());
}

#[test]
fn credentials_are_found_in_the_profile_and_not_needed_for_what_is_public() {
    let (server, folder) = (Server::start(), Folder::new());
    let url = server.put("a", b"hello");
    folder.write(
        ".aws/credentials",
        format!("[default]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n"),
    );
    let mut profile = at(&server.endpoint(), &folder, &[&url]);
    profile.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    finish(profile.spawn().unwrap()).exited(0);
    assert_eq!(folder.read("a"), b"hello");
    let (public, elsewhere) = (Server::public(), Folder::new());
    let url = public.put("a", b"hello");
    let mut open = at(&public.endpoint(), &elsewhere, &[&url]);
    open.env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_SKIP_SIGNATURE", "true");
    finish(open.spawn().unwrap()).exited(0);
    assert_eq!(public.count(|asked| asked.header("authorization").is_some()), 0);
}

#[test]
fn an_endpoint_that_is_not_public_is_refused_when_that_is_asked_for() {
    let (server, folder) = (Server::start(), Folder::new());
    let url = server.put("a", b"hello");
    let run = get(&server, &folder, &["--public-only", "--json", &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "forbidden");
    assert_eq!(server.count(|_| true), 0);
}

#[test]
fn an_interrupt_removes_what_was_put_into_the_bucket() {
    let (server, folder, origin) = (Server::start(), Folder::new(), Origin::start());
    let url = origin.on("/a", Reply::ok(pattern(60 << 20)));
    server.rule(|asked| asked.is_part().then_some(Act::Stall));
    let child = at(&server.endpoint(), &folder, &["-d", "s3://bucket", &url]).spawn().unwrap();
    ganymede_kit::wait_until("two parts", || server.count(Asked::is_part) == 2);
    crate::interrupting::interrupt(child.id());
    finish(child).exited(130);
    assert_eq!((server.keys(), server.unfinished()), (Vec::new(), Vec::new()));
}
