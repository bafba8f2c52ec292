//! What is there after a restart, and what is not.

use std::fs;

use ganymede_kit::{Folder, Origin, Reply, pattern};
use ganymede_streamer::{Cache, CacheError};

use crate::{LARGE, cache, files, keeping};

fn filled(folder: &Folder) -> Origin {
    let origin = Origin::start();
    let reply = Reply::ok(pattern(LARGE)).etag("\"a\"").header("X-A", "1").header("X-A", "2");
    origin.on("/file", reply.header("Cache-Control", "max-age=1000"));
    keeping(&origin, folder).get("/file").is_whole(&pattern(LARGE));
    origin
}

#[test]
fn a_restart_finds_what_was_stored_with_its_headers_and_its_age() {
    let folder = Folder::new();
    let origin = filled(&folder);
    let server = keeping(&origin, &folder);
    let hit = server.get("/file");
    assert!(hit.is_whole(&pattern(LARGE)).is_hit());
    assert_eq!((hit.header("etag"), hit.header("x-a")), (Some("\"a\""), Some("1")));
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn what_has_no_row_and_what_has_no_object_are_gone() {
    let folder = Folder::new();
    let origin = filled(&folder);
    folder.write("cache/objects/aa/aa", "left over");
    folder.write("cache/incoming/0", "begun");
    drop(cache(&folder));
    assert_eq!((files(&folder, "objects").len(), files(&folder, "incoming").len()), (1, 0));

    let object = folder.file(files(&folder, "objects").pop().unwrap());
    fs::File::options().write(true).open(&object).unwrap().set_len(5).unwrap();
    let opened = cache(&folder);
    assert_eq!((opened.count(), opened.size(), files(&folder, "objects").len()), (0, 0, 0));
    drop(opened);
    keeping(&origin, &folder).get("/file").is_whole(&pattern(LARGE));
}

#[test]
fn a_damaged_index_is_begun_anew() {
    let folder = Folder::new();
    let origin = filled(&folder);
    folder.write("cache/index.sqlite", [7; 10_000]);
    let _ = fs::remove_file(folder.file("cache/index.sqlite-wal"));
    let opened = cache(&folder);
    assert_eq!((opened.count(), files(&folder, "objects").len()), (0, 0));
    drop(opened);
    let server = keeping(&origin, &folder);
    server.get("/file").is_whole(&pattern(LARGE));
    assert!(server.get("/file").is_hit());
}

#[test]
fn a_smaller_limit_makes_room_when_it_is_opened() {
    let folder = Folder::new();
    let _origin = filled(&folder);
    let opened = Cache::open(folder.file("cache"), 1000).unwrap();
    assert_eq!((opened.count(), opened.size(), files(&folder, "objects").len()), (0, 0, 0));
}

#[test]
fn a_folder_is_used_by_one_at_a_time() {
    let folder = Folder::new();
    let opened = cache(&folder);
    let other = Cache::open(folder.file("cache"), 1);
    assert!(matches!(other, Err(CacheError::InUse(_))));
    drop(opened);
    drop(cache(&folder));
    let no_folder = Cache::open(folder.write("file", ""), 1).unwrap_err();
    assert!(matches!(no_folder, CacheError::Folder { .. }), "{no_folder}");
}

/// Copies a folder as it is at this moment.
fn copied(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn what_a_killed_process_leaves_is_what_it_had_stored() {
    let (folder, gate) = (Folder::new(), ganymede_kit::Gate::new());
    let origin = filled(&folder);
    let server = keeping(&origin, &folder);
    origin.on("/small", Reply::ok("x").header("Cache-Control", "max-age=1000"));
    origin.on(
        "/begun",
        Reply::ok(pattern(LARGE)).header("Cache-Control", "max-age=1000").gate_after(1_000_000, &gate),
    );
    server.get("/small");
    ganymede_kit::wait_until("it to be stored", || files(&folder, "objects").len() == 2);
    assert!(server.get("/small").is_hit());
    let mut client = server.ask("GET", "/begun", &[]);
    client.read_bytes(900_000);
    // Nothing is closed, nor written down first: that is what a kill leaves.
    let left = Folder::new();
    copied(&folder.file("cache"), &left.file("cache"));
    gate.open();
    client.read().is_whole(&pattern(LARGE));
    drop(server);

    let server = keeping(&origin, &left);
    assert_eq!((files(&left, "objects").len(), files(&left, "incoming").len()), (2, 0));
    assert!(server.get("/file").is_whole(&pattern(LARGE)).is_hit());
    assert!(server.get("/small").is_whole(b"x").is_hit());
    assert!(!server.get("/begun").is_whole(&pattern(LARGE)).is_hit());
}
