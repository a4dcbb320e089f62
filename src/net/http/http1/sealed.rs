//! Bodies that many ask for, in files of memory: the kernel sends from these without a copy.
//!
//! To write a part of 60 KB from memory takes the kernel twice as long as to send it from a file.
//! TLS reads every byte anyhow, so only plain connections have something of this.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::write;

use crate::coding::Chunks;

/// Shorter bodies are copied sooner than sent.
const BYTES_MIN: usize = 16 << 10;

/// How often a body is asked for before it gets a file: a copy in memory, and a descriptor.
const ASKED_MIN: u32 = 2;

/// Files at once, of all workers. Bodies beyond them are written from memory.
const FILES_MAX: usize = 512;

static FILES: AtomicUsize = AtomicUsize::new(0);

/// A body in a file, as long as its bytes are kept.
#[derive(Debug)]
pub(super) struct Sealed {
    file: OwnedFd,
    bytes: u64,
    _place: Place,
}

/// One of [`FILES_MAX`].
#[derive(Debug)]
struct Place;

/// How often a body was asked for, and its file.
#[derive(Debug, Default)]
struct Sealing {
    asked: AtomicU32,
    file: OnceLock<Option<Sealed>>,
}

/// The file of `body`, if it is worth one; it is counted as asked for.
pub(super) fn sealed(body: &Chunks) -> Option<&Sealed> {
    if body.len() < BYTES_MIN {
        return None;
    }
    let sealing = body.kept(Sealing::default)?;
    if sealing.asked.fetch_add(1, Ordering::Relaxed) < ASKED_MIN {
        return None;
    }
    let file = sealing.file.get_or_init(|| Sealed::of(body));
    file.as_ref()
}

impl Sealed {
    fn of(body: &Chunks) -> Option<Self> {
        let place = Place::take()?;
        let written = || -> io::Result<OwnedFd> {
            let file = memfd_create("body", MemfdFlags::CLOEXEC)?;
            for mut bytes in body.as_slice().iter().map(|chunk| &chunk[..]) {
                while !bytes.is_empty() {
                    bytes = &bytes[write(&file, bytes)?..];
                }
            }
            Ok(file)
        };
        let file = written()
            .inspect_err(|error| tracing::debug!(%error, "no file of memory"))
            .ok()?;
        Some(Self {
            file,
            bytes: body.len() as u64,
            _place: place,
        })
    }

    /// Bytes in all.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Place {
    fn take() -> Option<Self> {
        let place = Self;
        // Dropping the place gives it back.
        (FILES.fetch_add(1, Ordering::Relaxed) < FILES_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_body_gets_a_file_once_it_is_asked_for_often_and_keeps_it() {
        let body = Chunks::new([vec![7; BYTES_MIN], vec![8; 5]].map(Bytes::from));
        assert!(sealed(&body).is_none() && sealed(&body.clone()).is_none());
        let file = sealed(&body).unwrap();
        assert_eq!(file.bytes(), BYTES_MIN as u64 + 5);
        let again = sealed(&body).unwrap();
        assert!(std::ptr::eq(file, again));
        let mut end = [0; 6];
        let handle = std::fs::File::from(file.as_fd().try_clone_to_owned().unwrap());
        handle
            .read_exact_at(&mut end, BYTES_MIN as u64 - 1)
            .unwrap();
        assert_eq!(end, [7, 8, 8, 8, 8, 8]);
    }

    #[test]
    fn a_short_body_gets_none() {
        let body = Chunks::from(Bytes::from_static(b"short"));
        assert!((0..9).all(|_| sealed(&body).is_none()));
    }
}
