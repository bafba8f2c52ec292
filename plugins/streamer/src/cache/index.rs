//! The index of what is stored, in `SQLite`.

use std::path::Path;
use std::time::SystemTime;

use ganymede::Digest;
use http::StatusCode;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::entry::{Entry, Record, headers, lines, milliseconds, time};
use super::lately::Change;
use crate::rules::Rules;

/// The version of the tables; an index of another one is begun anew, and its objects with it.
const VERSION: i64 = 3;

/// A row is numbered once and for all: the number is the name of its object, and one that is left over from a row that
/// was not written must never be taken for that of another.
const TABLES: &str = "
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        selection TEXT NOT NULL,
        size INTEGER NOT NULL,
        status INTEGER NOT NULL,
        headers BLOB NOT NULL,
        requested INTEGER NOT NULL,
        received INTEGER NOT NULL,
        digests TEXT NOT NULL,
        used INTEGER NOT NULL,
        boot TEXT NOT NULL
    );
    CREATE UNIQUE INDEX entries_by_key ON entries (key, selection);
    CREATE INDEX entries_by_use ON entries (used);
";

const REMOVE: &str = "DELETE FROM entries WHERE id = ?1";

const COLUMNS: &str = "id, key, selection, size, headers, requested, received, digests, status";

/// The index of what is stored.
///
/// It is written behind the objects, and never says of one that is not whole that it is there.
#[derive(Debug)]
pub(super) struct Index {
    connection: Connection,
    /// What tells this run of the system from others. A row has it, and the stretch of time that it was written in, until
    /// its object is surely on the disk.
    boot: String,
    stretch: i64,
    /// Up to this number, all objects are on the disk.
    floor: i64,
    /// The highest number of the last two stretches of time.
    before: i64,
    turned: i64,
}

/// An object and its size, and the key that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) id: i64,
    pub(super) key: String,
    pub(super) size: u64,
}

impl Index {
    /// Opens the index in a file, or makes one.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        // The folder is one process's alone: with that known, no lock is taken and given back for each statement.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.set_prepared_statement_cache_capacity(32);
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            let change = connection.transaction()?;
            change.execute_batch("DROP TABLE IF EXISTS entries;")?;
            change.execute_batch(TABLES)?;
            change.pragma_update(None, "user_version", VERSION)?;
            change.commit()?;
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim().to_owned();
        // What another run of the system wrote may not have reached the disk before its end.
        connection
            .execute("DELETE FROM entries WHERE boot != '' AND boot NOT LIKE ?1", [format!("{boot}/%")])?;
        // Another one than all of those that an earlier process may have left.
        let stretch = milliseconds(SystemTime::now());
        Ok(Self { connection, boot, stretch, floor: 0, before: 0, turned: 0 })
    }

    /// Returns all that is stored under a key.
    pub(super) fn find(&self, key: &str, rules: &Rules) -> rusqlite::Result<Vec<Entry>> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE key = ?1"))?;
        let entries = statement.query_map([key], |row| entry(row, rules))?;
        entries.filter_map(Result::transpose).collect()
    }

    /// Makes changes in their order, all or none.
    pub(super) fn write(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let run = self.run();
        let transaction = self.connection.transaction()?;
        {
            let mut add = transaction.prepare_cached(
                "INSERT INTO entries
                     (id, key, selection, size, status, headers, requested, received, digests, used, boot)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            let mut refresh = transaction.prepare_cached(
                "UPDATE entries SET selection = ?2, headers = ?3, requested = ?4, received = ?5 WHERE id = ?1",
            )?;
            let mut remove = transaction.prepare_cached(REMOVE)?;
            for change in changes {
                match change {
                    Change::Add(entry, used) => add.execute(params![
                        entry.id,
                        entry.key,
                        entry.selection,
                        signed(entry.size),
                        entry.record.status.as_u16(),
                        lines(&entry.record.headers),
                        milliseconds(entry.record.requested),
                        milliseconds(entry.record.received),
                        digests(&entry.record.digests),
                        used,
                        run,
                    ])?,
                    Change::Refresh(entry) => refresh.execute(params![
                        entry.id,
                        entry.selection,
                        lines(&entry.record.headers),
                        milliseconds(entry.record.requested),
                        milliseconds(entry.record.received),
                    ])?,
                    Change::Remove(id) => remove.execute([id])?,
                };
            }
        }
        transaction.commit()
    }

    pub(super) fn remove(&self, id: i64) -> rusqlite::Result<bool> {
        Ok(self.connection.prepare_cached(REMOVE)?.execute([id])? > 0)
    }

    /// Returns those that were not used for the longest time, after the first `skip` of them.
    pub(super) fn oldest(&self, count: usize, skip: usize) -> rusqlite::Result<Vec<Victim>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, key, size FROM entries ORDER BY used, id LIMIT ?1 OFFSET ?2")?;
        statement.query_map([count as i64, skip as i64], victim)?.collect()
    }

    /// Notes when entries were used last.
    pub(super) fn touch(&mut self, used: impl IntoIterator<Item = (i64, i64)>) -> rusqlite::Result<()> {
        let change = self.connection.transaction()?;
        {
            let mut statement =
                change.prepare_cached("UPDATE entries SET used = ?2 WHERE id = ?1 AND used < ?2")?;
            for (id, time) in used {
                statement.execute([id, time])?;
            }
        }
        change.commit()
    }

    /// Returns the highest number that was ever given.
    pub(super) fn last(&self) -> rusqlite::Result<i64> {
        let last =
            self.connection
                .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'entries'", [], |row| row.get(0));
        Ok(last.optional()?.unwrap_or(0))
    }

    /// Begins a new stretch of time: what was written before it is [synced](Self::synced) once what is in the folder is on
    /// the disk.
    pub(super) fn turn(&mut self) -> rusqlite::Result<()> {
        self.turned = self.last()?;
        self.stretch += 1;
        Ok(())
    }

    /// Notes that all objects of what was written before the last [turn](Self::turn) are on the disk, also if the system
    /// ends.
    pub(super) fn synced(&mut self) -> rusqlite::Result<()> {
        self.connection.execute(
            "UPDATE entries SET boot = '' WHERE id > ?1 AND boot != '' AND boot != ?2",
            params![self.floor, self.run()],
        )?;
        // Numbers may be written in another order than they are given, but not for as long as this.
        (self.floor, self.before) = (self.before, self.turned);
        Ok(())
    }

    /// Returns what tells this stretch of time from others.
    fn run(&self) -> String {
        format!("{}/{}", self.boot, self.stretch)
    }

    /// Calls for each entry with its number and size; those for which that is false are removed.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(i64, u64) -> bool) -> rusqlite::Result<()> {
        let change = self.connection.transaction()?;
        {
            let mut all = change.prepare("SELECT id, key, size FROM entries")?;
            let mut remove = change.prepare(REMOVE)?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let one = victim(row)?;
                if !keep(one.id, one.size) {
                    remove.execute([one.id])?;
                }
            }
        }
        change.commit()
    }

    /// Returns the keys of all entries.
    pub(super) fn keys(&self) -> rusqlite::Result<Vec<String>> {
        self.connection.prepare("SELECT key FROM entries")?.query_map([], |row| row.get(0))?.collect()
    }

    /// Returns how many entries there are.
    pub(super) fn count(&self) -> rusqlite::Result<u64> {
        let count: i64 = self.connection.query_row("SELECT count(*) FROM entries", [], |row| row.get(0))?;
        Ok(unsigned(count))
    }
}

fn victim(row: &Row<'_>) -> rusqlite::Result<Victim> {
    Ok(Victim { id: row.get(0)?, key: row.get(1)?, size: unsigned(row.get(2)?) })
}

/// Reads a row; one that cannot be understood is none.
fn entry(row: &Row<'_>, rules: &Rules) -> rusqlite::Result<Option<Entry>> {
    let known: String = row.get(7)?;
    let digests: Result<Vec<Digest>, _> = known.split_ascii_whitespace().map(str::parse).collect();
    let lines: Vec<u8> = row.get(4)?;
    let status = StatusCode::from_u16(row.get(8)?);
    let (Some(headers), Ok(digests), Ok(status)) = (headers(&lines), digests, status) else {
        return Ok(None);
    };
    let record =
        Record { status, headers, requested: time(row.get(5)?), received: time(row.get(6)?), digests };
    Ok(Some(Entry::new(row.get(0)?, row.get(1)?, row.get(2)?, unsigned(row.get(3)?), record, rules)))
}

fn digests(digests: &[Digest]) -> String {
    let texts: Vec<String> = digests.iter().map(Digest::to_string).collect();
    texts.join(" ")
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn unsigned(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}
