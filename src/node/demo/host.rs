//! The demo host: pushes the clip of the repository in a loop over real RTMP, like any encoder.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use super::ROOM;
use crate::protocol::rtmp::{Client, ClientEvent, ClientOutput, Media, MediaKind};
use crate::runtime::{Shutdown, clock};

/// The clip: `tests/media/make.sh` says how it was made.
static CLIP: &[u8] = include_bytes!("../../../tests/media/demo.flv");
/// How long to wait before the next try when the origin is busy or gone.
const RETRY: Duration = Duration::from_secs(2);
/// The file header and the first back pointer (FLV 10.1, Annex E.2).
const FILE_HEADER_BYTES: usize = 13;
/// The head of a tag and the back pointer after it (Annex E.4.1).
const TAG_HEAD_BYTES: usize = 11;
const BACK_POINTER_BYTES: usize = 4;

/// Pushes until `shutdown`, whatever happens to the connection.
pub async fn run(address: SocketAddr, shutdown: Shutdown) {
    let clip = Clip::read(Bytes::from_static(CLIP));
    loop {
        tokio::select! {
            result = push(address, &clip) => {
                let error = result.expect_err("the loop has no other end");
                tracing::warn!(%error, room = ROOM, "the demo host was cut off");
            }
            () = shutdown.requested() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// A clip that follows itself without a seam.
struct Clip {
    metadata: Option<Bytes>,
    tags: Vec<Media>,
    length_ms: u32,
}

impl Clip {
    /// Reads a whole FLV file; an incomplete tag at its end is left out.
    fn read(file: Bytes) -> Self {
        let mut clip = Self {
            metadata: None,
            tags: Vec::new(),
            length_ms: 0,
        };
        let mut at = FILE_HEADER_BYTES;
        while let Some(&[kind, s2, s1, s0, t2, t1, t0, t3, ..]) = file.get(at..at + TAG_HEAD_BYTES)
        {
            let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
            let timestamp_ms = u32::from_be_bytes([t3, t2, t1, t0]);
            let start = at + TAG_HEAD_BYTES;
            if start + size > file.len() {
                break;
            }
            let body = file.slice(start..start + size);
            at = start + size + BACK_POINTER_BYTES;
            let kind = match kind {
                8 => MediaKind::Audio,
                9 => MediaKind::Video,
                18 => {
                    clip.metadata = Some(body);
                    continue;
                }
                _ => continue,
            };
            clip.tags.push(Media {
                kind,
                timestamp_ms,
                body,
            });
        }
        clip.length_ms = clip.loop_ms();
        clip
    }

    /// The last picture's time plus what a picture lasts: where the next round begins.
    fn loop_ms(&self) -> u32 {
        let video = self.tags.iter().filter(|tag| tag.kind == MediaKind::Video);
        let mut times: Vec<u32> = video.map(|tag| tag.timestamp_ms).collect();
        times.sort_unstable();
        times.dedup();
        let last = times.last().copied().unwrap_or_default();
        let gaps = u32::try_from(times.len())
            .unwrap_or(u32::MAX)
            .saturating_sub(1)
            .max(1);
        last + (last + gaps / 2) / gaps
    }
}

/// One connection; it ends with an error only.
async fn push(address: SocketAddr, clip: &Clip) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut client = Client::new("live", ROOM);
    let mut buffer = BytesMut::with_capacity(4096);
    while !drain(&mut client, &mut stream).await? {
        receive(&mut client, &mut stream, &mut buffer).await?;
    }
    if let Some(metadata) = &clip.metadata {
        client.push_metadata(metadata);
    }
    let started = clock::now();
    for round in 0_u32.. {
        let offset_ms = round.wrapping_mul(clip.length_ms);
        for tag in &clip.tags {
            // The wall clock does not wrap with the 32 bits of RTMP.
            let due_ms = u64::from(round) * u64::from(clip.length_ms) + u64::from(tag.timestamp_ms);
            let due = started + Duration::from_millis(due_ms);
            loop {
                tokio::select! {
                    () = sleep_until(due) => break,
                    result = receive(&mut client, &mut stream, &mut buffer) => result?,
                }
            }
            let timestamp_ms = tag.timestamp_ms.wrapping_add(offset_ms);
            client.push(&Media {
                timestamp_ms,
                ..tag.clone()
            });
            drain(&mut client, &mut stream).await?;
        }
    }
    Ok(())
}

/// Feeds what the origin says. Cancel-safe: bytes are read into `buffer` before anything else.
async fn receive(
    client: &mut Client,
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> std::io::Result<()> {
    if stream.read_buf(buffer).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    client.handle_bytes(buffer).map_err(std::io::Error::other)
}

/// Writes what the client wants written; true once the room is ours.
async fn drain(client: &mut Client, stream: &mut TcpStream) -> std::io::Result<bool> {
    let mut published = false;
    loop {
        match client.poll_output() {
            ClientOutput::Send(bytes) => stream.write_all(&bytes).await?,
            ClientOutput::Event(ClientEvent::Published) => published = true,
            ClientOutput::Event(ClientEvent::Refused(reason)) => {
                return Err(std::io::Error::other(reason));
            }
            ClientOutput::Idle => return Ok(published),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clip_loops_on_its_frame_grid() {
        let clip = Clip::read(Bytes::from_static(CLIP));
        assert!(clip.metadata.is_some());
        assert!(clip.tags.len() > 100);
        let last = clip.tags.iter().map(|tag| tag.timestamp_ms).max().unwrap();
        assert!(clip.length_ms >= last.saturating_sub(50) && clip.length_ms < last + 100);
    }

    #[test]
    fn damaged_clips_end_at_the_damage() {
        let whole = Clip::read(Bytes::from_static(CLIP)).tags.len();
        let half = Clip::read(Bytes::from_static(&CLIP[..CLIP.len() / 2]))
            .tags
            .len();
        assert!(half < whole);
        assert!(Clip::read(Bytes::new()).tags.is_empty());
    }
}
