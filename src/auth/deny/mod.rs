//! The deny list: whose access has been withdrawn, on every node within seconds.
//!
//! An origin is the **author** of the entries that were posted to it, and keeps them in a file.
//! Lists travel down the relay with their author and version; a node holds the newest list of each
//! author and denies whatever one of them denies, also while no origin can be reached.
//!
//! Invariants: a list is bounded in bytes, so that all authors together fit one message of the
//! relay; looking somebody up costs the same however long the lists are; what ends by itself needs
//! nobody to remove it.

mod entry;
mod file;
mod index;
mod list;
mod lists;

use std::net::IpAddr;

pub use entry::{Entry, Fault, Wanted};
pub use list::DenyList;

/// What of somebody an entry may name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspect<'a> {
    pub(super) token: &'a str,
    pub(super) sub: &'a str,
    pub(super) room: &'a str,
    pub(super) address: IpAddr,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// Its answer.
    pub value: T,
    /// Why it will not outlive this process, if so: the disk.
    pub unsaved: Option<String>,
}

#[cfg(test)]
#[path = "deny_test.rs"]
mod tests;
