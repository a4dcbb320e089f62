//! The file: how it is opened, and what one commit does. Blocks its thread.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase as _};

use super::keys;
use super::reading::Reading;
use super::tables::{Bytewise, Definition, Tables, down, insert};
use crate::ledger::Error;
use crate::ledger::order::{Depth, Order, Put, Revision};
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;
use crate::runtime::clock;

/// What the disk must have room for when the file is opened, in bytes: a few thousand orders. Less
/// would let a ledger on a full disk seem well between two orders.
const ROOM_BYTES: usize = 1 << 20;

/// Holds that much for a moment.
const ROOM: Definition = Definition::new("room");

/// One write of a commit.
#[derive(Debug)]
pub(super) enum Write {
    /// An order in place of a version of it.
    Order(Box<Order>, Revision),
    /// A room's state.
    Room(RoomName, Bytes),
    /// Decisions of moderation.
    Audit(RoomName, Vec<Audit>),
    /// Removes orders decided before, and decisions of moderation made before.
    Sweep {
        orders_before: i64,
        audit_before: i64,
    },
}

/// What a write came to.
#[derive(Debug)]
pub(super) enum Written {
    /// Of an order.
    Order(Put),
    /// Of all else.
    Done,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    depth: Mutex<Depth>,
    audit_number: AtomicI64,
}

impl Store {
    /// Opens the file, and repairs what a crash left; makes a new one only where there is none.
    /// None: in memory. `cache_bytes`: of its pages are kept in memory. True when it was repaired.
    pub(super) fn open(path: Option<&Path>, cache_bytes: usize) -> Result<(Self, bool), Error> {
        let Some(path) = path else {
            let memory = redb::backends::InMemoryBackend::new();
            return Ok((Self::with_backend(memory, cache_bytes)?, false));
        };
        if !path.try_exists().map_err(down)? {
            create(path)?;
        }
        let repaired = Rc::new(Cell::new(false));
        let seen = repaired.clone();
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        builder.set_repair_callback(move |_| seen.set(true));
        let mut database = builder.open(path).map_err(down)?;
        // A repair reads the whole file. So does this, after a proper end: a page that rotted is
        // found now, not during a sale.
        let repaired = repaired.get() || !database.check_integrity().map_err(down)?;
        Ok((Self::new(database)?, repaired))
    }

    /// A store in something else than a file.
    pub(super) fn with_backend(
        backend: impl redb::StorageBackend,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        Self::new(builder.create_with_backend(backend).map_err(down)?)
    }

    fn new(database: Database) -> Result<Self, Error> {
        let store = Self {
            database,
            depth: Mutex::default(),
            audit_number: AtomicI64::new(clock::unix_us()),
        };
        store.prove_room()?;
        *store.depth.lock() = store.read()?.depth()?;
        Ok(store)
    }

    /// Makes the tables, and proves that the disk takes what they will hold.
    fn prove_room(&self) -> Result<(), Error> {
        let write = self.database.begin_write().map_err(down)?;
        drop(Tables::open(&write)?);
        let mut room = write.open_table(ROOM).map_err(down)?;
        insert(&mut room, b"", &vec![0; ROOM_BYTES])?;
        drop(room);
        write.commit().map_err(down)?;
        let write = self.database.begin_write().map_err(down)?;
        write.delete_table(ROOM).map_err(down)?;
        write.commit().map_err(down)
    }

    /// Carries `writes` out in their order, in one durable step.
    pub(super) fn commit(&self, writes: &[Write]) -> Result<Vec<Written>, Error> {
        let mut write = self.database.begin_write().map_err(down)?;
        write.set_durability(Durability::Immediate).map_err(down)?;
        let mut depth = *self.depth.lock();
        let mut written = Vec::with_capacity(writes.len());
        {
            let mut tables = Tables::open(&write)?;
            for each in writes {
                written.push(match each {
                    Write::Order(order, expected) => {
                        Written::Order(tables.put(order, *expected, &mut depth)?)
                    }
                    Write::Room(room, state) => {
                        insert(&mut tables.rooms, room.as_str().as_bytes(), state)?;
                        Written::Done
                    }
                    Write::Audit(room, records) => {
                        self.append(&mut tables.audit, room, records)?;
                        Written::Done
                    }
                    Write::Sweep {
                        orders_before,
                        audit_before,
                    } => {
                        tables.sweep_orders(*orders_before)?;
                        tables.sweep_audit(*audit_before)?;
                        Written::Done
                    }
                });
            }
            depth.oldest = tables.oldest_accepted()?;
        }
        write.commit().map_err(down)?;
        *self.depth.lock() = depth;
        Ok(written)
    }

    /// What the last commit left, as it stays while it is read.
    pub(super) fn read(&self) -> Result<Reading, Error> {
        Ok(Reading(self.database.begin_read().map_err(down)?))
    }

    /// How many orders wait, as of the last commit.
    pub(super) fn depth(&self) -> Depth {
        *self.depth.lock()
    }

    fn append(
        &self,
        audit: &mut Bytewise<'_>,
        room: &RoomName,
        records: &[Audit],
    ) -> Result<(), Error> {
        for record in records {
            let number = self.audit_number.fetch_add(1, Ordering::Relaxed);
            let key = keys::audit(room, record.at, number);
            let value = serde_json::to_vec(record).expect("a record has text keys only");
            insert(audit, &key, &value)?;
        }
        Ok(())
    }
}

/// Makes a file with all tables under another name first: one that is there under its own name has
/// once been whole, and is never taken for a new one.
fn create(path: &Path) -> Result<(), Error> {
    let new = path.with_extension("new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(down)?;
    }
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(down(error)),
        _ => {}
    }
    let database = Database::create(&new).map_err(down)?;
    Store::new(database)?.database.close().map_err(down)?;
    std::fs::rename(&new, path).map_err(down)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::File::open(folder.unwrap_or_else(|| Path::new("."))).map_err(down)?;
    folder.sync_all().map_err(down)
}
