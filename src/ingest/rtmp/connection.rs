//! One encoder's connection: the driver of its session.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep_until, timeout};

use crate::auth::{Gate, Pass, Push};
use crate::container::flv;
use crate::hooks::{Hooks, Kind};
use crate::ingest::publisher::{self, Desk, Publisher};
use crate::ingest::rtmp::metadata;
use crate::ingest::rtmp::metrics::Metrics;
use crate::media::RoomName;
use crate::media::codec::{AudioCodec, VideoCodec};
use crate::protocol::rtmp::{
    CloseReason, Event, Limits, Media, MediaKind, Output, Session, StreamKey,
};
use crate::runtime::{Shutdown, clock};

/// What one read may bring.
const READ_BYTES: usize = 32 * 1024;
/// How long a peer may leave our few answers unread.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// How long a peer has to read why it is closed before the socket goes.
const LINGER: Duration = Duration::from_millis(500);

/// A session, and the publisher it feeds.
pub(super) struct Connection<'a> {
    session: Session,
    opened: clock::Instant,
    peer: SocketAddr,
    desk: &'a Desk,
    gate: &'a Gate,
    hooks: &'a Hooks,
    metrics: &'a Metrics,
    shutdown: Shutdown,
    encoder: String,
    publisher: Option<Publisher>,
    /// What it publishes by, and what services were told of it.
    pass: Option<(Pass, RoomName, Value)>,
    /// What the last configurations were for: frames of other codecs are not taken.
    video: Option<VideoCodec>,
    audio: Option<AudioCodec>,
}

/// How a connection ended.
enum End {
    /// The session says why.
    Closed(CloseReason),
    /// The peer hung up.
    Gone,
    /// The socket failed.
    Broken(io::Error),
}

/// Why a tag ends the connection; the text is shown to the encoder.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Tag(#[from] flv::read::Error),
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        limits: Limits,
        peer: SocketAddr,
        (desk, gate, hooks): (&'a Desk, &'a Gate, &'a Hooks),
        metrics: &'a Metrics,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            session: Session::new(limits),
            opened: clock::now(),
            peer,
            desk,
            gate,
            hooks,
            metrics,
            shutdown,
            encoder: String::new(),
            publisher: None,
            pass: None,
            video: None,
            audio: None,
        }
    }

    /// Serves the connection to its end. A publisher that is still there then has lost its
    /// connection.
    pub(super) async fn serve(mut self, mut socket: impl AsyncRead + AsyncWrite + Unpin) {
        self.metrics.connections.inc();
        let end = match self.drive(&mut socket).await {
            Ok(end) => end,
            Err(error) if is_peer_gone(&error) => End::Gone,
            Err(error) => End::Broken(error),
        };
        self.metrics.connections.dec();
        if self.publisher.is_some() {
            self.metrics.publishers.dec();
        }
        let label = match &end {
            End::Closed(reason) => reason.label(),
            End::Gone => "gone",
            End::Broken(_) => "broken",
        };
        self.metrics.closed(label);
        match &end {
            End::Gone => tracing::debug!("the encoder hung up"),
            End::Broken(error) => tracing::warn!(%error, "the connection broke"),
            End::Closed(reason) if reason.is_fault() => tracing::warn!(%reason, "closed"),
            End::Closed(reason) => tracing::info!(%reason, "closed"),
        }
        self.tell_unpublished();
        drop(self.publisher);
        if let End::Closed(_) = end {
            linger(&mut socket).await;
        }
    }

    async fn drive(
        &mut self,
        socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<End> {
        let mut buffer = BytesMut::new();
        loop {
            let deadline = loop {
                match self.session.poll_output() {
                    Output::Send(bytes) => write(socket, &bytes).await?,
                    Output::Event(event) => self.apply(event).await,
                    Output::Timeout(at) => break at,
                    Output::Closed(reason) => return Ok(End::Closed(reason)),
                }
            };
            buffer.reserve(READ_BYTES);
            let mid_message = self.session.held_bytes() > 0 || !buffer.is_empty();
            let since = clock::now();
            let revoked = async {
                match &self.publisher {
                    Some(publisher) => publisher.revoked().await,
                    None => std::future::pending().await,
                }
            };
            let ended = async {
                match &self.pass {
                    Some((pass, ..)) => pass.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = socket.read_buf(&mut buffer) => match read? {
                    0 => return Ok(End::Gone),
                    bytes => {
                        self.metrics.received_bytes.inc_by(bytes as u64);
                        if let Some(publisher) = &self.publisher {
                            publisher.waited(since.elapsed(), mid_message);
                        }
                        self.session.handle_bytes(self.opened.elapsed(), &mut buffer);
                    }
                },
                () = sleep_until(self.opened + deadline) => {
                    self.session.handle_timeout(self.opened.elapsed());
                }
                reason = revoked => self.session.end(&reason.to_string()),
                why = ended => self.session.end(&why.to_string()),
                () = self.shutdown.requested() => self.session.end("this server is stopping"),
            }
        }
    }

    async fn apply(&mut self, event: Event) {
        let fed = match event {
            Event::Connected { encoder, enhanced } => {
                tracing::debug!(encoder, enhanced, "connected");
                self.encoder = encoder;
                Ok(())
            }
            Event::PublishRequested(key) => {
                self.publish(key).await;
                Ok(())
            }
            Event::Media(media) => self.feed(media),
            Event::Data(data) => {
                // Metadata is a hint; what cannot be read is no reason to lose the show.
                match flv::read::script(&data) {
                    Ok(flv::read::Tag::Metadata(properties)) => {
                        if let Some(publisher) = &mut self.publisher {
                            publisher.metadata(metadata::read(&properties));
                        }
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "metadata is passed over"),
                }
                Ok(())
            }
            Event::Unpublished => {
                if let Some(publisher) = self.publisher.take() {
                    self.metrics.publishers.dec();
                    self.tell_unpublished();
                    tracing::info!("unpublished");
                    publisher.close();
                }
                Ok(())
            }
        };
        if let Err(error) = fed {
            self.session.end(&error.to_string());
        }
    }

    async fn publish(&mut self, key: StreamKey) {
        if key.camera.is_some() {
            let reason = "cameras (ROOM+CAMERA) are not taken here: publish to the room itself";
            self.session.refuse_publish(reason);
            return;
        }
        tracing::Span::current().record("room", key.room.as_str());
        let allowed = self.gate.publish(&Push {
            room: key.room.as_str(),
            name: &key.name,
            query: key.query.expose(),
            address: self.peer.ip(),
            now_s: clock::unix_us() / 1_000_000,
        });
        let pass = match allowed {
            Ok(pass) => pass,
            Err(refusal) => {
                tracing::info!(%refusal, "not let in");
                self.session.refuse_publish(&refusal.to_string());
                return;
            }
        };
        let said = json!({
            "name": key.name,
            "rendition": key.rendition,
            "backup": key.backup,
            "address": self.peer.ip(),
            "sub": pass.sub(),
        });
        let room = key.room.clone();
        let asked = self.hooks.ask(Kind::Publish, room.as_str(), said.clone());
        if let Err(reason) = asked.await {
            tracing::info!(reason, "not let in by the callback");
            self.session.refuse_publish(&reason);
            return;
        }
        let request = publisher::Request {
            room: key.room,
            rendition: key.rendition,
            backup: key.backup,
            peer: self.peer,
        };
        match self.desk.publish(request).await {
            Ok(publisher) => {
                tracing::info!(encoder = self.encoder, "published");
                self.metrics.publishers.inc();
                (self.video, self.audio) = (None, None);
                self.publisher = Some(publisher);
                self.pass = Some((pass, room, said));
                self.session.accept_publish();
            }
            Err(refusal) => self.session.refuse_publish(&refusal.to_string()),
        }
    }

    fn tell_unpublished(&mut self) {
        if let Some((_, room, said)) = self.pass.take() {
            self.hooks.tell(Kind::Unpublish, room.as_str(), said);
        }
    }

    fn feed(&mut self, media: Media) -> Result<(), FeedError> {
        let Some(publisher) = &mut self.publisher else {
            return Ok(());
        };
        let timestamp_ms = media.timestamp_ms;
        let tag = match media.kind {
            MediaKind::Audio => flv::read::audio(media.body)?,
            MediaKind::Video => flv::read::video(media.body)?,
        };
        match tag {
            flv::read::Tag::VideoConfig { codec, record } => {
                publisher.video_config(codec, record)?;
                self.video = Some(codec);
            }
            flv::read::Tag::AudioConfig { codec, record } => {
                publisher.audio_config(codec, record)?;
                self.audio = Some(codec);
            }
            flv::read::Tag::Video {
                codec,
                key,
                composition_ms,
                payload,
            } if self.video == Some(codec) => {
                publisher.video(timestamp_ms, composition_ms, key, payload)?;
            }
            flv::read::Tag::Audio { codec, payload } if self.audio == Some(codec) => {
                publisher.audio(timestamp_ms, payload)?;
            }
            _ => {}
        }
        Ok(())
    }
}

async fn write(socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let write = async {
        socket.write_all(bytes).await?;
        socket.flush().await
    };
    let late = |_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer does not read our answers",
        )
    };
    timeout(WRITE_WAIT, write).await.map_err(late)?
}

/// Sends the end of the stream and reads on for a moment: closing over unread bytes would reset
/// the connection, and the reason we just sent would be lost with it.
async fn linger(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let drain = async {
        socket.shutdown().await?;
        let mut unread = [0; 4096];
        while socket.read(&mut unread).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    // Whether it reads our words or not, it is over.
    let _late_or_broken = timeout(LINGER, drain).await.is_err();
}

fn is_peer_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}
