//! The two processes of a hand-over, each as the other sees it.

use std::collections::HashSet;
use std::io;
use std::os::unix::net::{UnixDatagram, UnixStream};

use serde::{Deserialize, Serialize};

use crate::net::heritage::passing::{self, Message};
use crate::net::heritage::port::Feed;
use crate::net::heritage::{Latch, forget, heritage};

/// What a process serves, which its successor should be able to serve too; by names that mean the
/// same to both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duties {
    /// Broadcasts.
    pub broadcasts: HashSet<String>,
    /// Tracks that are watched.
    pub tracks: HashSet<String>,
}

/// The process after this one, which has been given all sockets.
#[derive(Debug)]
pub struct Successor {
    pub(super) stream: UnixStream,
    pub(super) feeds: Vec<(Feed, UnixDatagram)>,
}

/// The process before this one.
#[derive(Debug)]
pub struct Elder {
    pub(super) stream: UnixStream,
    pub(super) latch: Latch,
    /// What it serves.
    pub duties: Duties,
}

// === impl Successor ===

impl Successor {
    /// Gives all sockets and `duties` of this process to the one at the other end of `stream`.
    /// Blocks, for as long as the other does not read.
    pub fn give(stream: UnixStream, duties: Duties) -> io::Result<Self> {
        heritage().lock().give(stream, duties)
    }

    /// Waits until the other has everything it needs. Errors: it has ended. Blocks.
    pub fn ready(&self) -> io::Result<()> {
        match passing::receive(&self.stream)?.message {
            Message::Ready => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Stops reading here, and tells the other to go. The connections of this process live on.
    pub async fn go(self) -> io::Result<()> {
        for (feed, datagrams) in self.feeds {
            *feed.datagrams.lock() = Some(datagrams);
            feed.given.open();
            feed.taken.opened().await;
        }
        forget();
        passing::send(&self.stream, &Message::Go, &[])?;
        // The other sees the end of this process by the end of the stream.
        std::mem::forget(self.stream);
        Ok(())
    }
}

// === impl Elder ===

impl Elder {
    /// Takes all sockets that the process at the other end of `stream` gives. Nothing is accepted
    /// from them before [`Self::go`]. Blocks.
    pub fn take(stream: UnixStream) -> io::Result<Self> {
        heritage().lock().take(stream)
    }

    /// Says that this process can serve, waits until the other lets go, and opens the doors.
    /// Blocks.
    pub fn go(&self) -> io::Result<()> {
        passing::send(&self.stream, &Message::Ready, &[])?;
        match passing::receive(&self.stream).map(|passed| passed.message) {
            Ok(Message::Go) => {}
            // It has ended, and the sockets are here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) => return Err(error),
        }
        self.latch.open();
        Ok(())
    }

    /// Waits until the other process has ended. Blocks.
    pub fn gone(&self) -> io::Result<()> {
        match passing::receive(&self.stream) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
