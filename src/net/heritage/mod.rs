//! Listening sockets that outlive their process: the next one takes them over, and nobody who
//! connects meanwhile is refused.
//!
//! A process gives its successor copies of the sockets themselves over a Unix socket, so there is
//! one queue of connections and none is lost (decision 0009). The successor accepts nothing before
//! it is told to. Datagrams of QUIC connections that began in the process before are passed back to
//! it, by their connection ids; so these live on to their end.
//!
//! Sockets belong to the process, and so does what is kept here.

mod datagrams;
mod estate;
mod latch;
mod parties;
mod passing;
mod port;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use parking_lot::Mutex;

use datagrams::Mark;
use estate::{Heritage, Kept, SOCKETS_MAX};
pub use latch::Latch;
pub use parties::{Duties, Elder, Successor};
pub use port::{Handover, Port};

fn heritage() -> &'static Mutex<Heritage> {
    static HERITAGE: OnceLock<Mutex<Heritage>> = OnceLock::new();
    HERITAGE.get_or_init(|| Mutex::new(Heritage::new()))
}

/// Opened when connections may be accepted.
pub(super) fn latch() -> Latch {
    heritage().lock().latch.clone()
}

/// How this process marks the connection ids that it gives.
fn mark() -> Mark {
    heritage().lock().own
}

/// All listeners on `address` that the process before had.
pub(super) fn take_tcp(address: SocketAddr) -> Vec<TcpListener> {
    heritage().lock().tcp.remove(&address).unwrap_or_default()
}

/// All UDP sockets on `address` that the process before had, with the way back to it.
pub(super) fn take_udp(address: SocketAddr) -> Vec<Port> {
    let mut heritage = heritage().lock();
    let Some(elder) = heritage.elder else {
        return Vec::new();
    };
    let sockets = heritage.udp.remove(&address).unwrap_or_default();
    let ports = sockets.into_iter();
    let port = |(socket, datagrams)| Port {
        elder: Some((elder, datagrams)),
        ..Port::new(socket)
    };
    ports.map(port).collect()
}

/// Keeps a copy of `listener` for the process after.
pub(super) fn keep_tcp(listener: &TcpListener) {
    keep(listener.try_clone().map(Kept::Tcp));
}

/// Keeps a copy of the socket of `port` for the process after.
pub(super) fn keep_udp(port: &Port) {
    let feed = port.feed.clone();
    keep(
        port.socket
            .try_clone()
            .map(|socket| Kept::Udp(socket, feed)),
    );
}

fn keep(copy: io::Result<Kept>) {
    let mut heritage = heritage().lock();
    if !heritage.is_handed_on {
        return;
    }
    match copy {
        Ok(copy) if heritage.kept.len() < SOCKETS_MAX => heritage.kept.push(copy),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "a socket cannot be handed on"),
    }
}

/// From now on copies of all listening sockets are kept. For processes of one node.
pub fn begin() {
    heritage().lock().is_handed_on = true;
}

/// Closes what the process before had and this one does not listen on.
pub fn settle() {
    let mut heritage = heritage().lock();
    heritage.tcp.clear();
    heritage.udp.clear();
}

/// Lets go of all copies: nobody will ask for them, and a socket closes with its last copy.
pub fn forget() {
    heritage().lock().kept.clear();
}

/// The stream that this process was started with in place of its input.
pub fn inherited_stream() -> io::Result<UnixStream> {
    let stream = rustix::stdio::stdin().try_clone_to_owned()?;
    Ok(UnixStream::from(stream))
}

/// Both ends of a stream: ours, and what the successor is started with in place of its input.
pub fn stream() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    Ok((ours, theirs.into()))
}

#[cfg(test)]
#[path = "heritage_test.rs"]
mod tests;
