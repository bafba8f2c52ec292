//! Proxies, certificates and redirects.

use ganymede_kit::{Authority, Folder, Origin, Proxy, Reply};

use crate::ganymede::{command, finish, get};

#[test]
fn a_proxy_is_gone_through_with_its_credentials() {
    let (folder, origin, proxy) = (Folder::new(), Origin::start(), Proxy::basic("amy", "secret"));
    let url = origin.on("/file", Reply::ok("content"));
    get(&folder, ["--proxy", &proxy.url(), &url]).exited(1).says("--proxy http://NAME:PASSWORD@HOST:PORT");
    get(&folder, ["--proxy", &proxy.url().replace("http://", "http://amy:secret@"), &url]).exited(0);
    assert_eq!((folder.read("file"), origin.journal().len()), (b"content".to_vec(), 1));
}

#[test]
fn the_environment_names_a_proxy_unless_none_is_wanted() {
    let (folder, origin, proxy) = (Folder::new(), Origin::start(), Proxy::start());
    let url = origin.on("/file", Reply::ok("content"));
    let with_environment = |arguments: &[&str]| {
        let mut run = command(&folder);
        finish(run.env("http_proxy", proxy.url()).arg("get").args(arguments).spawn().unwrap()).exited(0)
    };
    with_environment(&[&url]);
    assert_eq!(proxy.journal().len(), 1);
    with_environment(&["--proxy", "none", &url]);
    assert_eq!((proxy.journal().len(), origin.journal().len()), (1, 2));
}

#[test]
fn a_server_is_trusted_by_its_authority_or_when_nothing_is_checked() {
    let (folder, authority, other) = (Folder::new(), Authority::new("ours"), Authority::new("other"));
    let origin = Origin::tls(&authority.server(&["127.0.0.1"]));
    let url = origin.on("/file", Reply::ok("content"));
    authority.write_to(folder.path(), "ca");
    other.write_to(folder.path(), "other");
    let run = get(&folder, ["--json", &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "tls");
    get(&folder, ["--ca-certificate", "other.pem", &url]).exited(1).says("--ca-certificate");
    get(&folder, ["--ca-certificate", "other.pem", "--ca-certificate", "ca.pem", &url]).exited(0);
    get(&folder, ["--insecure", &url]).exited(0);
    assert_eq!(folder.read("file"), b"content");
}

#[test]
fn a_client_certificate_is_shown_from_two_files_or_one() {
    let (folder, authority) = (Folder::new(), Authority::new("ours"));
    let origin = Origin::mutual_tls(&authority.server(&["127.0.0.1"]), &authority);
    let url = origin.on("/file", Reply::ok("content"));
    let client = authority.client("amy");
    client.write_to(folder.path(), "amy");
    folder.write("both.pem", client.pem());
    authority.write_to(folder.path(), "ca");
    let ca = ["--ca-certificate", "ca.pem", &url];
    get(&folder, ["--retries", "0"].into_iter().chain(ca)).exited(1);
    get(&folder, ["--client-certificate", "amy.crt", "--client-key", "amy.key"].into_iter().chain(ca))
        .exited(0);
    get(&folder, ["--client-certificate", "both.pem"].into_iter().chain(ca)).exited(0);
    assert!(origin.journal().iter().all(|received| received.client_certificate));
    assert_eq!(origin.journal().len(), 2);
}

#[test]
fn redirects_are_followed_as_often_as_was_said() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let end = origin.on("/end", Reply::ok("content"));
    let middle = origin.on("/middle", Reply::redirect(301, end));
    let url = origin.on("/file", Reply::redirect(302, middle));
    let run = get(&folder, ["--json", "--max-redirects", "1", &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "redirect");
    let run = get(&folder, ["--json", "--max-redirects", "2", &url]).exited(0);
    assert_eq!(run.event("succeeded")["source"], url.as_str());
    assert_eq!(folder.entries(), ["file"]);
    let away = origin.on("/away", Reply::redirect(302, "file:///etc/hostname"));
    get(&folder, [away]).exited(1).says("redirects to the scheme file");
}

#[test]
fn http_2_is_spoken_with_who_offers_it_unless_http_1_1_is_wanted() {
    let (folder, authority) = (Folder::new(), Authority::new("ours"));
    let origin = Origin::http2(&authority.server(&["127.0.0.1"]));
    let url = origin.on("/file", Reply::ok("content"));
    authority.write_to(folder.path(), "ca");
    get(&folder, ["--ca-certificate", "ca.pem", &url]).exited(0);
    get(&folder, ["--ca-certificate", "ca.pem", "--http1.1", &url]).exited(0);
    assert_eq!(folder.read("file"), b"content");
    let versions: Vec<_> = origin.journal().into_iter().map(|received| received.version).collect();
    assert_eq!(versions, ["HTTP/2", "HTTP/1.1"]);
}

#[test]
fn connections_are_used_again() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls: Vec<String> = (0..20).map(|n| origin.on(&format!("/{n}"), Reply::ok("x"))).collect();
    get(&folder, ["-j", "1"].into_iter().chain(urls.iter().map(String::as_str))).exited(0);
    assert_eq!(origin.connections(), 1);
}
