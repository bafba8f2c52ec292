//! Room in the cache, and what is read from it.

use std::fs;

use ganymede_kit::{Folder, Origin, Reply, pattern, wait_until};
use ganymede_streamer::{Cache, Policy, Streamer};

use crate::{LARGE, Running, files, remote};

fn small(origin: &Origin, folder: &Folder, limit: u64) -> (Running, Cache) {
    let cache = Cache::open(folder.file("cache"), limit).unwrap();
    origin.handle("/", |received| {
        let size: usize = received.path().rsplit('/').next().unwrap().parse().unwrap();
        Reply::ok(pattern(size)).etag("\"a\"").header("Cache-Control", "max-age=60")
    });
    (Running::start(Streamer::new(remote(origin)).cache(cache.clone())), cache)
}

#[test]
fn what_was_not_used_for_the_longest_time_makes_room() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (server, cache) = small(&origin, &folder, 10_000);
    for name in ["a", "b", "c"] {
        server.get(&format!("/{name}/3000"));
        // Time goes by in milliseconds in the index.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(server.get("/a/3000").is_whole(&pattern(3000)).is_hit());
    server.get("/d/3000");
    wait_until("room", || cache.evicted() == 1);
    assert_eq!((cache.count(), cache.size(), files(&folder, "objects").len()), (3, 9000, 3));
    for name in ["a", "c", "d"] {
        assert!(server.get(&format!("/{name}/3000")).is_whole(&pattern(3000)).is_hit(), "{name}");
    }
    assert!(!server.get("/b/3000").is_whole(&pattern(3000)).is_hit());
}

#[test]
fn what_is_larger_than_the_cache_is_passed_on_only() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (server, cache) = small(&origin, &folder, 100_000);
    server.get("/a/3000");
    assert_eq!(
        server.get("/b/200000").is_whole(&pattern(200_000)).cache(),
        "ganymede; fwd=uri-miss; fwd-status=200"
    );
    origin.on("/c", Reply::ok(pattern(LARGE)).chunked().header("Cache-Control", "max-age=60"));
    server.get("/c").is_whole(&pattern(LARGE));
    assert_eq!((cache.count(), cache.size()), (1, 3000));
    assert!(server.get("/a/3000").is_hit());
    wait_until("what was begun to be gone", || files(&folder, "incoming").is_empty());
}

#[test]
fn what_is_being_read_stays() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (server, cache) = small(&origin, &folder, 70 << 20);
    let size = 64 << 20;
    let path = format!("/read/{size}");
    server.get(&path);
    let mut reader = server.ask("GET", &path, &[]);
    reader.read_bytes(1000);
    server.get("/a/4000000");
    server.get("/b/4000000");
    wait_until("room", || cache.evicted() == 1);
    // The one that was used the longest time ago is being read, so the other one had to go.
    assert_eq!(cache.count(), 2);
    reader.read().is_whole(&pattern(size));
    assert!(server.get(&path).is_hit());
}

#[test]
fn an_object_that_is_gone_or_cut_is_fetched_again() {
    let (origin, folder) = (Origin::start(), Folder::new());
    // Of what is small, memory may have it still.
    let (server, _) = small(&origin, &folder, 1 << 30);
    for damage in [fs::remove_file as fn(std::path::PathBuf) -> _, |path| fs::write(path, "short")] {
        server.get("/a/300000").is_whole(&pattern(300_000));
        wait_until("it to be stored", || files(&folder, "objects").len() == 1);
        let object = files(&folder, "objects").pop().unwrap();
        damage(folder.file(object)).unwrap();
        assert!(!server.get("/a/300000").is_whole(&pattern(300_000)).is_hit());
        assert!(server.get("/a/300000").is_whole(&pattern(300_000)).is_hit());
    }
}

#[test]
fn where_nothing_can_be_written_contents_pass_all_the_same() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (server, cache) = small(&origin, &folder, 1 << 30);
    fs::remove_dir_all(folder.file("cache/incoming")).unwrap();
    for path in ["/a/3000", "/a/3000000", "/b/3000000"] {
        server.get(path).is_whole(&pattern(path[3..].parse().unwrap()));
    }
    assert_eq!(cache.count(), 0);
}

#[test]
fn what_is_named_is_fetched_before_it_is_asked_for() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.handle("/", |received| match received.path() {
        "/missing" => Reply::error(404),
        _ => Reply::ok(pattern(LARGE)).header("Cache-Control", "max-age=60"),
    });
    let cache = crate::cache(&folder);
    let streamer = Streamer::new(remote(&origin)).cache(cache.clone()).policy(Policy::Immediate);
    let paths = ["a", "b/c", "missing", "../x"].map(str::to_owned);
    let (router, fetching) = streamer.prefetch(paths, 2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(fetching);
    // It is there when that is told.
    assert_eq!((result.fetched, result.failed, cache.count()), (2, 2, 2));
    let server = Running::serving(router, |server| server);
    for path in ["/a", "/b/c"] {
        assert!(server.get(path).is_whole(&pattern(LARGE)).is_hit(), "{path}");
    }
    assert_eq!(origin.journal().len(), 3);
}

#[test]
fn only_so_many_selections_of_a_path_are_kept() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let cache = crate::cache(&folder);
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache.clone()));
    origin
        .on("/file", Reply::ok("x").header("Vary", "Accept-Language").header("Cache-Control", "max-age=60"));
    let get = |number: usize| server.get_with("/file", &[("Accept-Language", &format!("x-{number}"))]);
    for number in 0..40 {
        assert!(!get(number).is_whole(b"x").is_hit());
    }
    wait_until("the last one", || get(39).is_hit());
    assert_eq!((cache.count(), cache.size(), files(&folder, "objects").len()), (32, 32, 32));
    // The latest are there, also for who has to look for them.
    assert!(get(8).is_hit() && !get(0).is_hit());
    drop(server);
    drop(cache);
    let server = crate::keeping(&origin, &folder);
    assert!(server.get_with("/file", &[("Accept-Language", "x-39")]).is_whole(b"x").is_hit());
}

#[test]
fn contents_without_bytes_take_room_too() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (server, cache) = small(&origin, &folder, 10_000);
    for number in 0..60 {
        server.get(&format!("/{number}/0")).is_whole(b"");
    }
    wait_until("the last one", || server.get("/59/0").is_hit());
    assert_eq!((cache.count(), cache.size(), files(&folder, "objects").len()), (39, 0, 39));
}

#[test]
#[ignore = "mounts a file system: that takes root, or namespaces for users"]
fn on_a_disk_that_is_smaller_than_the_cache_may_be_contents_make_room_all_the_same() {
    let test = "caching::on_a_disk_that_is_smaller_than_the_cache_may_be_contents_make_room_all_the_same";
    ganymede_kit::with_disk(test, 16, |disk| {
        let origin = Origin::start();
        origin.handle("/", |received| {
            let size: usize = received.path().rsplit('/').next().unwrap().parse().unwrap();
            Reply::ok(pattern(size)).header("Cache-Control", "max-age=60")
        });
        let cache = Cache::open(disk.file("cache"), 1 << 30).unwrap();
        let server = Running::start(Streamer::new(remote(&origin)).cache(cache.clone()));
        for number in 0..20 {
            let path = format!("/{number}/3000000");
            server.get(&path).is_whole(&pattern(LARGE));
            assert!(server.get(&path).is_whole(&pattern(LARGE)).is_hit(), "{path}");
        }
        assert!(cache.evicted() > 10 && cache.count() > 1, "{cache:?}");
        // What is larger than the disk passes all the same.
        server.get("/large/30000000").is_whole(&pattern(30_000_000));
        server.get("/a/1000").is_whole(&pattern(1000));
        assert!(server.get("/a/1000").is_hit());
    });
}
