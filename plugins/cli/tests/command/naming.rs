//! Files that their servers name.

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern};

use crate::ganymede::{get, get_with_input, start};
use crate::interrupting::interrupted;

fn named(content: &str, name: &str) -> Reply {
    Reply::ok(content).header("Content-Disposition", format!("attachment; filename=\"{name}\""))
}

#[test]
fn the_server_names_the_file_and_otherwise_the_url() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/download", named("one", "report.pdf"));
    let plain = origin.on("/plain", Reply::ok("two"));
    let extended =
        Reply::ok("three").header("Content-Disposition", "attachment; filename*=UTF-8''na%C3%AFve.txt");
    let extended = origin.on("/extended", extended);
    let run = get(&folder, ["--json", "--remote-name", "-d", "d", &format!("{url}?id=1")]).exited(0);
    assert_eq!(run.event("succeeded")["path"], "d/report.pdf");
    get(&folder, ["--remote-name", &plain]).exited(0).says("Stored plain: ");
    get(&folder, ["--remote-name", "-v", &extended]).exited(0).says("stored na\u{ef}ve.txt: 5 bytes");
    assert_eq!(folder.entries(), ["d/", "d/report.pdf", "na\u{ef}ve.txt", "plain"]);
    assert_eq!(folder.read("d/report.pdf"), b"one");
    get(&folder, ["-d", "e", &url]).exited(0);
    assert_eq!(folder.read("e/download"), b"one");
}

#[test]
fn no_name_leads_out_of_the_folder_or_hides() {
    let (folder, origin) = (Folder::new(), Origin::start());
    for (number, name) in
        ["../../up", "/etc/shadow", ".bashrc", "..\\\\back", "a\u{9b}2Jb", "nul"].iter().enumerate()
    {
        let url = origin.on(&format!("/{number}"), named("x", name));
        get(&folder, ["--remote-name", "-d", "in/ner", &url]).exited(0);
    }
    let entries = folder.entries();
    assert!(entries.iter().all(|entry| entry == "in/" || entry.starts_with("in/ner/")), "{entries:?}");
    for name in ["up", "shadow", "_bashrc", "back", "_nul"] {
        assert!(entries.contains(&format!("in/ner/{name}")), "{name}: {entries:?}");
    }
}

#[test]
fn out_in_a_list_wins_and_names_are_in_its_lines_own_words() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [a, b] = ["a", "b"].map(|name| origin.on(&format!("/{name}"), named(name, &format!("{name}.txt"))));
    get_with_input(&folder, ["--remote-name", "-i", "-"], format!("{a} out=mine\n{b}\n")).exited(0);
    assert_eq!(folder.entries(), ["b.txt", "mine"]);
}

#[test]
fn a_second_file_of_that_name_fails_before_a_byte_of_it_is_stored() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let first = origin.on("/1", named("first", "same").gate_after(1, &gate));
    let second = origin.on("/2", named("second", "same"));
    let mirror = origin.on("/mirror", named("third", "same"));
    let list = format!("{first}\n{second} mirror={mirror}\n");
    folder.write("list", list);
    let child = start(&folder, ["get", "--json", "--remote-name", "-j", "1", "-i", "list"]);
    gate.wait_arrived(1);
    gate.open();
    let run = crate::ganymede::finish(child).exited(1);
    let failed = run.event("failed");
    assert_eq!((&failed["url"], &failed["error"]["kind"]), (&second.as_str().into(), &"write".into()));
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("same is already the file of another download"), "{message}");
    assert_eq!((origin.requests("/mirror"), folder.read("same")), (0, b"first".to_vec()));
    assert_eq!(folder.entries(), ["list", "same"]);
}

#[test]
fn a_name_of_the_server_does_not_take_that_of_a_line() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [a, b] = ["/a", "/b"].map(|path| origin.on(path, named(path, "mine")));
    let list = format!("{a} out=mine\n{b}\n");
    let run = get_with_input(&folder, ["--json", "--remote-name", "-j", "1", "-i", "-"], list).exited(1);
    assert_eq!(run.event("failed")["url"], b.as_str());
    assert_eq!(folder.read("mine"), b"/a");
}

#[test]
fn the_same_url_twice_is_one_download_and_a_failure() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/download", named("x", "name"));
    let run = get(&folder, ["--json", "--remote-name", &url, &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["message"], "the same URL is downloaded by this run already");
    assert_eq!((origin.requests("/download"), folder.entries()), (1, vec!["name".to_owned()]));
}

#[test]
fn several_of_one_url_path_do_not_get_into_each_others_way() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let waits = gate.clone();
    let base = origin.handle("/get", move |received| {
        named(&received.target, &received.target.replace("/get?id=", "")).gate_after(1, &waits)
    });
    let urls = ["1", "2", "3"].map(|id| format!("{base}?id={id}"));
    let child = start(&folder, ["get", "--remote-name"].into_iter().chain(urls.iter().map(String::as_str)));
    gate.wait_arrived(3);
    gate.open();
    crate::ganymede::finish(child).exited(0);
    assert_eq!(folder.entries(), ["1", "2", "3"]);
    assert_eq!(folder.read("2"), b"/get?id=2");
}

#[test]
fn a_retry_keeps_its_name_and_an_interrupted_run_is_gone_on_with() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(1_000_000));
    let whole = Reply::ok(bytes.clone()).etag("\"1\"").ranges();
    let whole = whole.header("Content-Disposition", "attachment; filename=\"name\"");
    let cut = whole.clone().cut_after(300_000);
    let stalled = whole.clone().stall_after(300_000);
    let url = origin.sequence("/download", [cut, stalled, whole]);
    let child = start(&folder, ["get", "--json", "--remote-name", &url]);
    origin.wait_requests(2);
    ganymede_kit::wait_until("the bytes", || {
        let entries = folder.entries();
        let part = entries.iter().find(|entry| entry.ends_with(".ganymede-part"));
        part.is_some_and(|part| folder.file(part).metadata().is_ok_and(|there| there.len() >= 600_000))
    });
    let failed = interrupted(child).event("failed");
    assert_eq!((&failed["path"], &failed["partial"]), (&"name".into(), &600_000.into()));
    let event = get(&folder, ["--json", "--remote-name", &url]).exited(0).event("succeeded");
    assert_eq!((&event["path"], &event["resumed"]), (&"name".into(), &600_000.into()));
    assert_eq!((folder.entries(), folder.read("name")), (vec!["name".to_owned()], bytes));
    assert_eq!(origin.journal()[2].header("range"), Some("bytes=600000-"));
}

#[test]
fn what_is_there_under_the_servers_name_is_replaced_kept_or_a_failure() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/download", named("new", "name"));
    folder.write("name", "old!");
    let kept = get(&folder, ["--json", "--remote-name", "--existing", "skip", &url]).exited(0).event("kept");
    assert_eq!(
        (&kept["path"], &kept["size"], &kept["reason"]),
        (&"name".into(), &4.into(), &"exists".into())
    );
    let run = get(&folder, ["--json", "--remote-name", "--existing", "fail", &url]).exited(1);
    let error = &run.event("failed")["error"];
    assert_eq!((&error["kind"], &error["message"]), (&"write".into(), &"name is there already".into()));
    assert_eq!((folder.entries(), folder.read("name")), (vec!["name".to_owned()], b"old!".to_vec()));
    get(&folder, ["--remote-name", &url]).exited(0);
    assert_eq!(folder.read("name"), b"new");
}

#[test]
fn what_was_kept_of_an_interrupted_run_goes_when_the_file_is_there() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let whole = named("the content", "name").etag("\"1\"").ranges();
    let url = origin.sequence("/download", [whole.clone().cut_after(5), whole]);
    let run = get(&folder, ["--json", "--remote-name", "--retries", "0", &url]).exited(1);
    assert_eq!((&run.event("failed")["partial"], folder.entries().len()), (&5.into(), 2));
    folder.write("name", "there");
    let run = get(&folder, ["--json", "--remote-name", "--existing", "skip", &url]).exited(0);
    assert_eq!(run.event("kept")["path"], "name");
    assert_eq!((folder.entries(), folder.read("name")), (vec!["name".to_owned()], b"there".to_vec()));
}

#[test]
fn a_dry_run_says_that_the_name_is_not_known_yet() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/download", named("new", "name"));
    let run = get(&folder, ["--dry-run", "--remote-name", &url]).exited(0);
    assert_eq!(run.text(), format!("{url} -> a name that its server has\n"));
    let run = get(&folder, ["--dry-run", "--json", "--remote-name", &url]).exited(0);
    assert_eq!(run.event("planned")["path"], serde_json::Value::Null);
    assert!(origin.journal().is_empty());
}
