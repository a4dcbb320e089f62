//! Disks that fill up and pages that rot.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;
use crate::ledger::tests::order;
use crate::runtime::Shutdown;
use crate::telemetry;

const WAIT: Duration = Duration::from_secs(20);

/// A file on a disk that may be full.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn open(path: &Path, full: Arc<AtomicBool>) -> Result<Store, Error> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = FileBackend::new(options.open(path).expect("a file"));
        let file = file.map_err(|error| Error::Down(error.to_string()))?;
        Store::with_backend(Self { file, full })
    }

    fn room(&self) -> io::Result<()> {
        match self.full.load(Ordering::Relaxed) {
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
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[tokio::test]
async fn full_disk_refuses_orders_loses_none_and_is_used_again_when_it_has_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.redb");
    let full = Arc::new(AtomicBool::new(false));
    let disk = full.clone();
    let open = move || Ok((Disk::open(&path, disk.clone())?, false));
    let scope = TaskScope::under(&Shutdown::new());
    let metrics = Metrics::register(&telemetry::Metrics::default());
    let book = Book::start(open, &Config::default(), &metrics, &scope).await;
    let first = book.put(&order("disk", "key-0001", 1), 0).await;
    assert_eq!(first, Ok(Put::Done(1)));

    full.store(true, Ordering::Relaxed);
    for key in ["key-0002", "key-0003"] {
        let refused = book.put(&order("disk", key, 2), 0).await;
        assert!(matches!(refused, Err(Error::Down(_))), "{refused:?}");
    }
    book.is_healthy().expect_err("the disk is full");

    full.store(false, Ordering::Relaxed);
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
