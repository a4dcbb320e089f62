//! Disks that fill up and pages that rot; a trail that began in the file of the orders.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;
use crate::ledger::tests::{decision, order, room};
use crate::runtime::Shutdown;
use crate::telemetry;

const WAIT: Duration = Duration::from_secs(20);

/// A file on a disk that may be full.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    /// What the file may have, in bytes: more is refused, what it has can be written over.
    room: Arc<AtomicU64>,
}

impl Disk {
    fn open(path: &Path, room: Arc<AtomicU64>) -> Result<Store, Error> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = FileBackend::new(options.open(path).expect("a file"));
        let file = file.map_err(|error| Error::Down(error.to_string()))?;
        Store::with_backend(Self { file, room }, ORDERS_CACHE_BYTES)
    }

    fn has_room(&self, bytes: u64) -> io::Result<()> {
        match bytes > self.room.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // Blocks are taken when they are written.
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.has_room(offset + u64::try_from(data.len()).unwrap_or(u64::MAX))?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

/// A book on a disk with `room`.
async fn book_on(folder: &tempfile::TempDir, room: &Arc<AtomicU64>, scope: &TaskScope) -> Book {
    let (path, room) = (folder.path().join("ledger.redb"), room.clone());
    let orders = move || Ok((Disk::open(&path, room.clone())?, false));
    let trail = || Store::open(None, TRAIL_CACHE_BYTES);
    let metrics = Metrics::register(&telemetry::Metrics::default());
    let files: (Open, Open) = (Arc::new(orders), Arc::new(trail));
    Book::start(files, &Config::default(), &metrics, scope).await
}

#[tokio::test]
async fn a_disk_with_room_for_a_few_orders_is_full_all_the_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let room = Arc::new(AtomicU64::new(u64::MAX));
    let scope = TaskScope::under(&Shutdown::new());
    let book = book_on(&folder, &room, &scope).await;
    let length = std::fs::metadata(folder.path().join("ledger.redb"));
    room.store(length.expect("a file").len(), Ordering::Relaxed);
    let mut stored = 0;
    loop {
        let orders: Vec<_> = (0..200)
            .map(|number| order("disk", &format!("key-{:08}", stored + number), 1))
            .collect();
        let puts = join_all(orders.iter().map(|order| book.put(order, 0))).await;
        if puts.iter().any(Result::is_err) {
            break;
        }
        stored += orders.len();
    }
    assert!(stored > 0, "the file as it is has room for some");
    for _ in 0..30 {
        book.is_healthy().expect_err("the disk is full");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(book);
    scope.finish(WAIT).await;
}

#[tokio::test]
async fn full_disk_refuses_orders_loses_none_and_is_used_again_when_it_has_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let room = Arc::new(AtomicU64::new(u64::MAX));
    let scope = TaskScope::under(&Shutdown::new());
    let book = book_on(&folder, &room, &scope).await;
    let first = book.put(&order("disk", "key-0001", 1), 0).await;
    assert_eq!(first, Ok(Put::Done(1)));

    room.store(0, Ordering::Relaxed);
    for key in ["key-0002", "key-0003"] {
        let refused = book.put(&order("disk", key, 2), 0).await;
        assert!(matches!(refused, Err(Error::Down(_))), "{refused:?}");
    }
    book.is_healthy().expect_err("the disk is full");

    room.store(u64::MAX, Ordering::Relaxed);
    let recovers = async {
        while book.put(&order("disk", "key-0004", 4), 0).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT, recovers)
        .await
        .expect("the disk is used again");
    assert_eq!(book.is_healthy(), Ok(()));
    let found = book
        .by_buyer(&order("disk", "any", 0).id.room, "u_li", 10)
        .await;
    let found = found.expect("a store that works");
    let keys: Vec<&str> = found.iter().map(|entry| &*entry.order.id.key).collect();
    assert_eq!(keys, ["key-0004", "key-0001"]);
    drop(book);
    scope.finish(WAIT).await;
}

#[tokio::test]
async fn trail_goes_on_from_the_file_that_it_shared_with_the_orders() {
    let scope = TaskScope::under(&Shutdown::new());
    let metrics = Metrics::register(&telemetry::Metrics::default());
    let book = Book::open(&Config::default(), &metrics, &scope).await;
    let name = room("trail");
    let before = Write::Audit(name.clone(), vec![decision(1), decision(2)]);
    book.orders.write(before).await.expect("a store that works");
    let since = vec![decision(3), decision(4)];
    let done = book.append_audit(&name, since).await;
    done.expect("a store that works");
    for (before, max, expected) in [
        (None, 10, &[4, 3, 2, 1][..]),
        (None, 3, &[4, 3, 2]),
        (None, 2, &[4, 3]),
        (Some(4), 2, &[3, 2]),
        (Some(2), 10, &[1]),
    ] {
        let found = book.audit(&name, before, max).await;
        let expected: Vec<_> = expected.iter().copied().map(decision).collect();
        assert_eq!(found, Ok(expected), "{max} before {before:?}");
    }
    drop(book);
    scope.finish(WAIT).await;
}
