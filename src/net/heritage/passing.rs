//! Messages between two processes, with sockets in them (SCM_RIGHTS).
//!
//! Each message is its length in four bytes and JSON; the sockets travel with the length. Both ends
//! are the same program, or the versions before and after an upgrade.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::net::heritage::{Duties, Mark};

/// The longest message: the names of all rooms of a node.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Sockets in one message.
const SOCKETS_MAX: usize = 2;

/// What processes say to each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Message {
    /// A listener.
    Tcp { address: SocketAddr },
    /// A UDP socket, and where the datagrams of its connections go.
    Udp { address: SocketAddr },
    /// That was all.
    End { mark: Mark, duties: Duties },
    /// The successor can serve.
    Ready,
    /// The process before it has let go.
    Go,
}

/// A message and the sockets in it.
pub(super) struct Passed {
    pub(super) message: Message,
    pub(super) sockets: Vec<OwnedFd>,
}

/// Sends a message with at most two sockets.
pub(super) fn send(
    mut stream: &UnixStream,
    message: &Message,
    sockets: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let head = length.to_be_bytes();
    // Four bytes into a stream that is read: they go whole.
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&head)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    stream.write_all(&head[sent..])?;
    stream.write_all(&text)
}

/// Receives the next message. Errors: `UnexpectedEof` when the other process has ended.
pub(super) fn receive(mut stream: &UnixStream) -> io::Result<Passed> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let read = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut head)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if read.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    stream.read_exact(&mut head[read.bytes..])?;
    let length = u32::from_be_bytes(head) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    let message = serde_json::from_slice(&text)?;
    Ok(Passed { message, sockets })
}
