//! A host: publishes a clip over RTMP in real time, with a stamp in each picture.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use reqwest::Url;
use rushlane::auth::Scope;
use rushlane::protocol::rtmp::{Client, ClientEvent, ClientOutput, Media, MediaKind};
use rushlane::runtime::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::actors::Ground;
use crate::clip::Clip;
use crate::flv::Tag;
use crate::scenario::Host;
use crate::stamp::Stamp;
use crate::tally::Count;

/// What a server may take to accept a publisher.
const ACCEPT: Duration = Duration::from_secs(10);

/// Publishes `clip` as `host` says at one of `origins` for as long as the run's tasks live; a push
/// that breaks goes on at the next origin a second later, as encoders do.
pub fn publish(ground: &Ground, host: &Host, clip: Arc<Clip>, origins: Arc<[Url]>) {
    let (ground, host) = (ground.clone(), host.clone());
    let scope = ground.scope.clone();
    scope.spawn("host", async move {
        let mut pictures = 0;
        for origin in origins.iter().cycle() {
            if let Err(error) = push(&ground, &host, &clip, origin, &mut pictures).await {
                let error = format!("{error:#}");
                tracing::warn!(error, stream = host.stream(), %origin, "the host pushes anew");
                ground.tally.one(Count::Errors);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

async fn push(
    ground: &Ground,
    host: &Host,
    clip: &Clip,
    origin: &Url,
    pictures: &mut u32,
) -> anyhow::Result<()> {
    let address = origin.host_str().context("no host")?;
    let mut socket = TcpStream::connect((address, origin.port().unwrap_or(1935))).await?;
    socket.set_nodelay(true)?;
    let token = ground.signer.query(Scope::Publish, &host.room);
    let name = format!("{}{token}", host.stream());
    let mut client = Client::new(origin.path().trim_matches('/'), &name);
    let mut input = BytesMut::new();
    let accept = async {
        while !exchange(&mut client, &mut socket).await? {
            if socket.read_buf(&mut input).await? == 0 {
                bail!("the origin closed the connection");
            }
            client.handle_bytes(&mut input)?;
        }
        Ok(())
    };
    tokio::time::timeout(ACCEPT, accept)
        .await
        .context("not accepted in 10 s")??;
    for tag in &clip.head {
        match media(tag, tag.at_ms) {
            Some(media) => client.push(&media),
            None => client.push_metadata(&tag.body),
        }
    }
    let started = clock::now();
    for round in 0_u32.. {
        for tag in &clip.frames {
            let at_ms = round.wrapping_mul(clip.length_ms).wrapping_add(tag.at_ms);
            let due = started
                + Duration::from_millis(u64::from(round) * u64::from(clip.length_ms))
                + Duration::from_millis(tag.at_ms.into());
            tokio::time::sleep_until(due).await;
            let Some(mut media) = media(tag, at_ms) else {
                continue;
            };
            if tag.is_picture() {
                media.body = Stamp::now(*pictures).put_into(&tag.body);
                *pictures += 1;
            }
            client.push(&media);
            exchange(&mut client, &mut socket).await?;
            drain(&mut client, &mut socket, &mut input)?;
        }
    }
    Ok(())
}

/// Writes what the client wants to say. True: the room is ours.
async fn exchange(client: &mut Client, socket: &mut TcpStream) -> anyhow::Result<bool> {
    let mut published = false;
    loop {
        match client.poll_output() {
            ClientOutput::Send(bytes) => socket.write_all(&bytes).await?,
            ClientOutput::Event(ClientEvent::Published) => published = true,
            ClientOutput::Event(ClientEvent::Refused(why)) => bail!("refused: {why}"),
            ClientOutput::Idle => return Ok(published),
        }
    }
}

/// Takes what the origin says meanwhile.
fn drain(client: &mut Client, socket: &mut TcpStream, input: &mut BytesMut) -> anyhow::Result<()> {
    loop {
        match socket.try_read_buf(input) {
            Ok(0) => bail!("the origin closed the connection"),
            Ok(_) => client.handle_bytes(input)?,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// `None` for metadata.
fn media(tag: &Tag, timestamp_ms: u32) -> Option<Media> {
    let kind = match tag.kind {
        8 => MediaKind::Audio,
        9 => MediaKind::Video,
        _ => return None,
    };
    let body = tag.body.clone();
    Some(Media {
        kind,
        timestamp_ms,
        body,
    })
}
