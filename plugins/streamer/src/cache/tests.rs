//! What is counted, indexed and on the disk is the same, whatever is done at the same time.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use ganymede_kit::Folder;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::positioned;

fn record() -> Record {
    let (headers, now) = (HeaderMap::new(), SystemTime::now());
    Record { status: StatusCode::OK, headers, requested: now, received: now, digests: Vec::new() }
}

fn store(cache: &Cache, key: &str, selection: &str, content: &[u8]) -> Arc<Entry> {
    let incoming = cache.incoming().unwrap();
    let size = positioned::write(&incoming.file, &[content.to_vec().into()], 0).unwrap();
    cache.store(incoming, key, selection, size, record(), &Rules::new()).unwrap()
}

fn content(cache: &Cache, entry: &Entry) -> Option<Vec<u8>> {
    match cache.read(entry).ok()? {
        Stored::Memory(content) => Some(content.to_vec()),
        Stored::Object(object) => positioned::read_all_at_once(&object.file, object.size).map(Vec::from),
    }
}

/// Asserts that as much is on the disk as is counted, and returns that.
fn counted(cache: &Cache) -> (u64, u64) {
    let there = cache.0.objects.list().unwrap();
    let on_disk = (there.len() as u64, there.values().sum());
    assert_eq!((cache.count(), cache.size()), on_disk);
    on_disk
}

#[test]
fn what_many_store_find_and_remove_at_once_is_counted_right_and_there_after_a_restart() {
    const KEYS: usize = 30;
    let folder = Folder::new();
    // Room for about the half of what is stored.
    let cache = Cache::open(folder.path(), 25_000).unwrap();
    let (rules, done) = (Rules::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for worker in 0..8_usize {
            let (cache, rules, done) = (&cache, &rules, &done);
            scope.spawn(move || {
                for step in 0..400 {
                    let (key, selection) = ((worker * 7 + step * 13) % KEYS, step / 8 % 3);
                    let key = key.to_string();
                    match step % 8 {
                        0..5 => drop(store(cache, &key, &selection.to_string(), key.repeat(300).as_bytes())),
                        5 | 6 => {
                            for entry in cache.find(&key, rules).iter() {
                                // What makes way in between cannot be read; all else is its own.
                                let read = content(cache, entry);
                                assert!(read.is_none_or(|read| read == key.repeat(300).as_bytes()));
                            }
                        }
                        _ => cache.find(&key, rules).iter().for_each(|entry| cache.remove(entry)),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 3200);
    assert!(cache.evicted() > 0 && cache.size() <= 25_000);
    let before = counted(&cache);
    assert!(before.0 > 0);
    let mut found = 0;
    for key in 0..KEYS {
        let entries = cache.find(&key.to_string(), &rules);
        let mut selections: Vec<_> = entries.iter().map(|entry| entry.selection.clone()).collect();
        selections.dedup();
        assert_eq!(selections.len(), entries.len());
        found += entries.len() as u64;
    }
    assert_eq!(found, before.0);
    drop(cache);
    let cache = Cache::open(folder.path(), 25_000).unwrap();
    assert_eq!(counted(&cache), before);
}

#[test]
fn what_takes_the_place_of_what_the_index_does_not_know_yet_is_what_it_knows_then() {
    let folder = Folder::new();
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    let first = store(&cache, "key", "", b"first");
    let other = store(&cache, "key", "other", b"other");
    let second = store(&cache, "key", "", b"second");
    assert!(second.id > other.id && other.id > first.id);
    drop(cache.0.settled());
    // As one who has remembered nothing finds it.
    assert!(cache.0.lately.give_up("key", 0));
    let rules = Rules::new();
    let mut found: Vec<_> = cache.find("key", &rules).iter().map(|entry| entry.id).collect();
    found.sort_unstable();
    assert_eq!(found, [other.id, second.id]);
    // Of one that is superseded already, nothing more is taken away.
    cache.remove(&first);
    assert_eq!(counted(&cache), (2, 11));
    assert_eq!(content(&cache, &second).unwrap(), b"second");
}

#[test]
fn what_is_said_anew_of_a_content_is_kept_unless_a_newer_one_is_told_apart_by_the_same() {
    let folder = Folder::new();
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    let (rules, sent) = (Rules::new(), HeaderMap::new());
    let says = |text| {
        let mut record = record();
        record.headers.insert("x-text", http::HeaderValue::from_static(text));
        record
    };
    let texts = |cache: &Cache| -> Vec<_> {
        let text = |entry: &Arc<Entry>| entry.record.headers.get("x-text").cloned();
        cache.find("key", &rules).iter().map(text).collect()
    };
    let plain = store(&cache, "key", "", b"content");
    cache.refresh(&plain, says("new"), &sent, &rules);
    assert_eq!(texts(&cache), [Some(http::HeaderValue::from_static("new"))]);
    // One that was told apart by something, and is no more.
    let other = store(&cache, "key", "other", b"other");
    cache.refresh(&other, says("other"), &sent, &rules);
    assert_eq!(texts(&cache), [Some(http::HeaderValue::from_static("new")), None]);
    // One that is gone.
    cache.remove(&other);
    cache.refresh(&other, says("gone"), &sent, &rules);
    drop(cache);
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(texts(&cache), [Some(http::HeaderValue::from_static("new"))]);
    assert_eq!(counted(&cache), (1, 7));
}

#[test]
fn what_is_stored_reaches_the_index_without_anybody_asking() {
    let folder = Folder::new();
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    let entry = store(&cache, "key", "", b"content");
    ganymede_kit::wait_until("it to be written", || !cache.0.lately.is_unwritten(entry.id));
    assert_eq!(cache.0.index.lock().keys().unwrap(), ["key"]);
}

#[test]
fn what_the_index_had_takes_the_place_of_nothing_that_came_since() {
    let (lately, rules) = (Lately::default(), Rules::new());
    let entry = |id| Arc::new(Entry::new(id, "key".to_owned(), String::new(), 1, record(), &rules));
    let ids =
        |entries: Option<Entries>| entries.map(|all| all.iter().map(|entry| entry.id).collect::<Vec<_>>());
    let (first, second) = (entry(1), entry(2));
    let add = |new: &Arc<Entry>, nothing: Option<Entries>| {
        lately.change(
            "key",
            || nothing,
            |entries, changes| {
                let gone = superseded(entries, "");
                changes.extend(gone.iter().map(|old| Change::Remove(old.id)));
                changes.push(Change::Add(Arc::clone(new), 0));
                entries.push(Arc::clone(new));
            },
        )
    };
    assert!(add(&first, None).is_none());
    assert_eq!(add(&first, Some(Arc::from([]))), Some(((), 1)));
    assert_eq!(ids(lately.remember("key", Vec::new())), None);
    // Also when it is remembered no more.
    assert!(lately.give_up("key", 0));
    assert_eq!(ids(lately.remember("key", Vec::new())), None);
    assert_eq!(lately.take_unwritten().len(), 1);
    assert_eq!(ids(lately.remember("key", vec![Arc::clone(&first)])), Some(vec![1]));
    assert_eq!(add(&second, None), Some(((), 2)));
    assert!(!lately.give_up("key", 1) && lately.give_up("key", 2));
    // What could not be removed from the index is not there all the same.
    let changes = lately.take_unwritten();
    lately.put_back(changes.into_iter().filter(|change| matches!(change, Change::Remove(1))));
    assert_eq!(ids(lately.remember("key", vec![first, second])), Some(vec![2]));
}

/// Returns the keys of which it is not sure that they are on the disk.
fn unsure(folder: &Folder) -> Vec<String> {
    let index = rusqlite::Connection::open(folder.file("index.sqlite")).unwrap();
    let mut rows = index.prepare("SELECT key FROM entries WHERE boot != '' ORDER BY key").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_may_not_have_reached_the_disk_when_the_system_ended_is_not_trusted() {
    let folder = Folder::new();
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    store(&cache, "a", "", b"content");
    cache.0.write_down();
    store(&cache, "b", "", b"content");
    drop(cache);
    assert_eq!(unsure(&folder), ["b"]);
    let index = rusqlite::Connection::open(folder.file("index.sqlite")).unwrap();
    index.execute("UPDATE entries SET boot = 'another/1' WHERE boot != ''", []).unwrap();
    drop(index);
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(cache.0.index.lock().keys().unwrap(), ["a"]);
    assert_eq!(counted(&cache), (1, 7));
}

#[test]
fn what_may_be_lost_is_written_down_also_while_there_is_always_more_to_write() {
    let folder = Folder::new();
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    store(&cache, "key", "", b"content");
    // Enough for longer than anybody waits here.
    let (wake, woken) = sync_channel(10_000);
    (0..10_000).for_each(|_| wake.send(()).unwrap());
    let (stop, stopped) = channel::<()>();
    let inner = Arc::clone(&cache.0.inner);
    let writing = thread::spawn(move || writer::work(&inner, Duration::from_millis(50), &woken, &stopped));
    ganymede_kit::wait_until("it to be written down", || !cache.0.unsynced.load(Ordering::Relaxed));
    drop(stop);
    writing.join().unwrap();
    drop(cache);
    assert_eq!(unsure(&folder), [""; 0]);
}

#[test]
fn what_was_written_before_the_disk_was_is_on_it_and_nothing_else() {
    let folder = Folder::new();
    for run in ["a", "b"] {
        let cache = Cache::open(folder.path(), 1 << 20).unwrap();
        for step in ["1", "2", "3"] {
            store(&cache, &format!("{run}{step}"), "", b"content");
            cache.0.write_down();
        }
        // While the disk is written, more may come.
        store(&cache, &format!("{run}4"), "", b"content");
        cache.0.settled().turn().unwrap();
        store(&cache, &format!("{run}5"), "", b"content");
        cache.0.settled().synced().unwrap();
        drop(cache);
        assert_eq!(unsure(&folder), [format!("{run}5")]);
    }
    let cache = Cache::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(counted(&cache), (10, 70));
}
