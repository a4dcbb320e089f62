//! The embedded store: redb files on the node's disk, one for orders and rooms, one for the audit
//! trail.
//!
//! One task writes to each. What comes while a commit is under way, or within some milliseconds
//! of its beginning, is the next commit, so the disk's sync is paid once for all that waited for
//! it. Reads go beside it, over what the last commit left. A file that fails is closed and opened
//! again, once a second, until it takes writes.

mod book;
mod keys;
mod reading;
mod store;
mod tables;
mod volume;
mod writer;

pub(super) use book::Book;
