//! Many viewers of one stream in one thread: they read what comes, find the stamps and count.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use rushlane::runtime::{Shutdown, TaskScope};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::outcome;
use crate::process::{CpuMeter, Process};
use crate::rtmp::Session;
use crate::servers::ROOM;
use crate::stamp::{Stamp, WITHIN_BYTES};

/// How viewers get the stream.
#[derive(Clone)]
pub enum Source {
    /// HTTP-FLV at this address and path.
    Flv(String, String),
    /// RTMP play at this address.
    Rtmp(String),
}

/// What one window of measuring saw.
pub struct Measured {
    /// CPU share of the server; 1.0 is a core.
    pub cpu: f64,
    /// Delay from the publisher's socket to the viewer, in milliseconds.
    pub delay_p50_ms: f64,
    /// The same, 99th percentile.
    pub delay_p99_ms: f64,
    /// Pictures that arrived, of those that should.
    pub complete: f64,
    /// Pictures that viewers missed between two that they got.
    pub lost: u64,
}

/// Counts of all viewers together.
struct Counts {
    measuring: bool,
    delay_us: Histogram<u64>,
    frames: u64,
    lost: u64,
    playing: usize,
    ended: usize,
}

/// Viewers that play until this is dropped.
pub struct Audience {
    counts: Rc<RefCell<Counts>>,
    viewers: usize,
    // Dropping the scope ends the viewers.
    scope: TaskScope,
}

impl Audience {
    /// Connects `viewers` viewers, some at a time, and waits until all have got a picture.
    pub async fn join(source: &Source, viewers: usize) -> anyhow::Result<Self> {
        let counts = Rc::new(RefCell::new(Counts {
            measuring: false,
            delay_us: outcome::microseconds(),
            frames: 0,
            lost: 0,
            playing: 0,
            ended: 0,
        }));
        let scope = TaskScope::under(&Shutdown::new());
        for index in 0..viewers {
            let (source, counts) = (source.clone(), Rc::clone(&counts));
            scope.spawn_local("viewer", async move {
                let played = match source {
                    Source::Flv(address, path) => play_flv(&address, &path, &counts).await,
                    Source::Rtmp(address) => play_rtmp(&address, &counts).await,
                };
                if let Err(error) = played {
                    tracing::debug!(%error, "a viewer stopped");
                }
                counts.borrow_mut().ended += 1;
            });
            if index % 20 == 19 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let this = Self {
            counts,
            viewers,
            scope,
        };
        for _ in 0..200 {
            let playing = this.counts.borrow().playing;
            if playing == viewers {
                return Ok(this);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let playing = this.counts.borrow().playing;
        bail!("{playing} of {viewers} viewers got a picture");
    }

    /// How many there are.
    pub fn viewers(&self) -> usize {
        self.viewers
    }

    /// Measures for `window` at 30 pictures a second.
    pub async fn measure(&self, server: &Process, window: Duration) -> anyhow::Result<Measured> {
        {
            let mut counts = self.counts.borrow_mut();
            counts.delay_us.reset();
            (counts.frames, counts.lost, counts.measuring) = (0, 0, true);
        }
        let meter = CpuMeter::start(server)?;
        tokio::time::sleep(window).await;
        let cpu = meter.share(server)?;
        let mut counts = self.counts.borrow_mut();
        counts.measuring = false;
        if counts.ended > 0 {
            bail!("{} of {} viewers were cut off", counts.ended, self.viewers);
        }
        let per_viewer = window.as_secs_f64() * 30.0;
        let expected = per_viewer * self.viewers as f64;
        let quantile = |q| counts.delay_us.value_at_quantile(q) as f64 / 1000.0;
        Ok(Measured {
            cpu,
            delay_p50_ms: quantile(0.5),
            delay_p99_ms: quantile(0.99),
            complete: counts.frames as f64 / expected,
            lost: counts.lost,
        })
    }

    /// Disconnects everybody.
    pub async fn leave(self) {
        self.scope.finish(Duration::ZERO).await;
    }
}

/// One viewer's own memory: the picture before.
#[derive(Default)]
struct Last(Option<u32>);

impl Last {
    fn saw(&mut self, stamp: Stamp, counts: &RefCell<Counts>) {
        let mut counts = counts.borrow_mut();
        match self.0 {
            None => counts.playing += 1,
            Some(last) if counts.measuring => {
                counts.frames += 1;
                counts.lost += u64::from(stamp.sequence.saturating_sub(last + 1));
                counts.delay_us.saturating_record(stamp.age_us().max(1));
            }
            Some(_) => {}
        }
        self.0 = Some(stamp.sequence);
    }
}

async fn play_flv(address: &str, path: &str, counts: &RefCell<Counts>) -> anyhow::Result<()> {
    thread_local! {
        // What is read is looked at and forgotten, so all viewers share one buffer.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
    }
    let socket = request_flv(address, path).await?;
    let (mut reader, mut last) = (FlvReader::default(), Last::default());
    loop {
        socket.readable().await?;
        BUFFER.with_borrow_mut(|buffer| match socket.try_read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => reader.feed(&buffer[..length], |tag| {
                if let Some(stamp) = tag.stamp {
                    last.saw(stamp, counts);
                }
            }),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        })?;
    }
}

/// Asks for an HTTP-FLV stream.
pub async fn request_flv(address: &str, path: &str) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

async fn play_rtmp(address: &str, counts: &RefCell<Counts>) -> anyhow::Result<()> {
    let play = Session::play(address, "live", ROOM);
    let mut session = tokio::time::timeout(Duration::from_secs(20), play)
        .await
        .context("no stream within 20 s")??;
    let mut last = Last::default();
    loop {
        session
            .receive(|kind, body| {
                let head = &body[..body.len().min(WITHIN_BYTES)];
                if let Some(stamp) = (kind == 9).then(|| Stamp::find(head)).flatten() {
                    last.saw(stamp, counts);
                }
            })
            .await?;
    }
}

/// An FLV tag that has arrived whole.
#[derive(Debug, Clone, Copy)]
pub struct Tag {
    /// Its time, in milliseconds.
    pub at_ms: u32,
    /// A key frame (of video).
    pub key: bool,
    /// Its stamp, for pictures of the bench's host.
    pub stamp: Option<Stamp>,
}

/// Reads FLV over HTTP as it comes, keeping no more than the head of a tag.
#[derive(Default)]
pub struct FlvReader {
    stage: Stage,
    head: Vec<u8>,
    skip: usize,
    tag: Option<Tag>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Response,
    File,
    Tag,
}

impl FlvReader {
    /// Takes what was read; `on_tag` hears of each tag once its last byte is here.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_tag: impl FnMut(Tag)) -> anyhow::Result<()> {
        loop {
            let skipped = self.skip.min(bytes.len());
            bytes = &bytes[skipped..];
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(());
            }
            if let Some(tag) = self.tag.take() {
                on_tag(tag);
            }
            let Some(wanted) = self.wanted() else {
                bail!("not FLV: {:?}", String::from_utf8_lossy(&self.head));
            };
            if self.head.len() < wanted {
                let taken = (wanted - self.head.len()).min(bytes.len());
                if taken == 0 {
                    return Ok(());
                }
                self.head.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                continue;
            }
            self.take_head();
        }
    }

    /// How many bytes of head are needed before the next step; `None`: this is no stream.
    fn wanted(&self) -> Option<usize> {
        match self.stage {
            Stage::Response if self.head.ends_with(b"\r\n\r\n") => {
                let found = self.head.starts_with(b"HTTP/1.1 200");
                found.then_some(self.head.len())
            }
            Stage::Response if self.head.len() > 8192 => None,
            Stage::Response => Some(self.head.len() + 1),
            Stage::File => Some(13),
            Stage::Tag if self.head.len() < 11 => Some(11),
            Stage::Tag => Some(11 + self.body_length().min(WITHIN_BYTES)),
        }
    }

    fn body_length(&self) -> usize {
        let [_, a, b, c, ..] = self.head[..] else {
            return 0;
        };
        usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
    }

    fn take_head(&mut self) {
        match self.stage {
            Stage::Response => self.stage = Stage::File,
            Stage::File => self.stage = Stage::Tag,
            Stage::Tag => {
                let body = &self.head[11..];
                let [kind, _, _, _, t2, t1, t0, t3, ..] = self.head[..] else {
                    return;
                };
                self.skip = self.body_length() - body.len() + 4;
                self.tag = Some(Tag {
                    at_ms: u32::from_be_bytes([t3, t2, t1, t0]),
                    key: kind == 9 && body.first().is_some_and(|first| first >> 4 & 7 == 1),
                    stamp: if kind == 9 { Stamp::find(body) } else { None },
                });
            }
        }
        self.head.clear();
    }
}
