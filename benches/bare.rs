//! The physical limit of a fan-out: one thread that knows nothing and hands the same bytes to every
//! socket with one `writev` a frame. No protocol, no late joiners, no slow viewers: one that cannot
//! take a frame at once is dropped.

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rushlane::runtime::clock;

use crate::clip::{Clip, LOOP_MS, Message};
use crate::stamp::Stamp;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n\
    FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00";

/// Serves the clip on `port` for ever.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is one loop: there is no worker to block"
)]
pub fn serve(port: u16, clip: &Path) -> anyhow::Result<()> {
    let clip = Clip::open(clip)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let head: Vec<u8> = clip
        .head
        .iter()
        .flat_map(|message| tag(message, 0))
        .collect();
    let (mut viewers, mut sequence) = (Vec::new(), 0);
    let started = clock::now();
    for round in 0_u32.. {
        // Audio rides along with the picture after it, as in a server of frames.
        let mut audio = Vec::new();
        for message in &clip.frames {
            let at_ms = round * LOOP_MS + message.at_ms;
            if !message.is_frame() {
                audio.extend(tag(message, at_ms));
                continue;
            }
            let due = Duration::from_millis(at_ms.into());
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            accept(&listener, &head, &mut viewers)?;
            let stamped = Message {
                body: Stamp::now(sequence).put_into(&message.body),
                ..message.clone()
            };
            sequence += 1;
            let picture = tag(&stamped, at_ms);
            let slices = [IoSlice::new(&picture), IoSlice::new(&audio)];
            let length = picture.len() + audio.len();
            viewers.retain_mut(
                |viewer| matches!(viewer.write_vectored(&slices), Ok(n) if n == length),
            );
            audio.clear();
        }
    }
    Ok(())
}

fn accept(listener: &TcpListener, head: &[u8], viewers: &mut Vec<TcpStream>) -> anyhow::Result<()> {
    loop {
        let mut viewer = match listener.accept() {
            Ok((viewer, _)) => viewer,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        viewer.set_nodelay(true)?;
        // The request is on its way or here; what it asks for does not matter.
        viewer.set_read_timeout(Some(Duration::from_millis(100)))?;
        if viewer.read(&mut [0; 1024]).unwrap_or(0) > 0 {
            viewer.set_nonblocking(true)?;
            viewer.write_all(HEAD)?;
            viewer.write_all(head)?;
            viewers.push(viewer);
        }
    }
}

/// Answers `viewers` parked connections on `port`, wave after wave: waits for a request of each,
/// then a little, then writes `answer_bytes` to all.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is one loop: there is no worker to block"
)]
pub fn wake(port: u16, viewers: usize, answer_bytes: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    // Whoever looks whether the port is open is no viewer.
    drop(listener.accept()?);
    let parked: Result<Vec<_>, _> = listener.incoming().take(viewers).collect();
    let mut parked = parked?;
    for viewer in &parked {
        viewer.set_nodelay(true)?;
    }
    loop {
        for viewer in &mut parked {
            if viewer.read(&mut [0; 1024])? == 0 {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
        let body_bytes = answer_bytes.saturating_sub(head.len() + 8);
        let mut answer = format!("{head}{body_bytes:04}\r\n\r\n").into_bytes();
        answer.extend_from_slice(&Stamp::now(0).put_into(&vec![0; 5].into()));
        answer.resize(answer_bytes, b'.');
        for viewer in &mut parked {
            viewer.write_all(&answer)?;
        }
    }
}

/// An FLV tag with its back pointer.
fn tag(message: &Message, at_ms: u32) -> Vec<u8> {
    let length = u32::try_from(message.body.len()).expect("a tag is below 16 MB");
    let [_, size @ ..] = length.to_be_bytes();
    let [high, time @ ..] = at_ms.to_be_bytes();
    let mut tag = vec![message.kind];
    tag.extend(size);
    tag.extend(time);
    tag.extend([high, 0, 0, 0]);
    tag.extend_from_slice(&message.body);
    tag.extend((length + 11).to_be_bytes());
    tag
}
