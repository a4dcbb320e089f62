//! Viewers that know every frame by its number: by HTTP-FLV, and by LL-HLS with blocking reloads.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rushlane::runtime::{TaskScope, clock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::asking::response_bytes;
use crate::servers::ROOM;
use crate::stamp::Stamp;
use crate::viewers::{FlvReader, request_flv};

/// How a viewer watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Flv,
    Hls,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flv => "HTTP-FLV",
            Self::Hls => "LL-HLS",
        })
    }
}

/// What went wrong, of all viewers.
#[derive(Debug, Default, Clone, Copy)]
pub struct Faults {
    pub ended: usize,
    pub missing: u64,
    pub twice: u64,
    pub frames: u64,
}

impl Faults {
    /// Adds what went wrong elsewhere.
    pub fn add(&mut self, other: Self) {
        self.ended += other.ended;
        self.missing += other.missing;
        self.twice += other.twice;
        self.frames += other.frames;
    }
}

/// All viewers.
#[derive(Default)]
pub struct Audience {
    faults: RefCell<Faults>,
    viewers: RefCell<Vec<Rc<RefCell<Viewer>>>>,
}

/// What one viewer saw.
struct Viewer {
    way: Way,
    last: Option<u32>,
    /// The greatest age of a frame, in microseconds: before the failure, and since.
    usual_us: u64,
    worst_us: u64,
    has_failed: bool,
}

impl Viewer {
    fn saw(&mut self, stamp: Stamp, faults: &RefCell<Faults>) {
        let mut faults = faults.borrow_mut();
        faults.frames += 1;
        match self
            .last
            .map(|last| i64::from(stamp.sequence) - i64::from(last))
        {
            Some(..=0) => {
                faults.twice += 1;
                return;
            }
            Some(step) => faults.missing += (step - 1).unsigned_abs(),
            None => {}
        }
        self.last = Some(stamp.sequence);
        let worst = match self.has_failed {
            true => &mut self.worst_us,
            false => &mut self.usual_us,
        };
        *worst = (*worst).max(stamp.age_us());
    }
}

impl Audience {
    /// Connects `count` viewers, some at a time, and waits until all have got a picture.
    pub async fn join(
        self: &Rc<Self>,
        address: &str,
        way: Way,
        count: usize,
        scope: &TaskScope,
    ) -> anyhow::Result<()> {
        for index in 0..count {
            let viewer = Rc::new(RefCell::new(Viewer {
                way,
                last: None,
                usual_us: 0,
                worst_us: 0,
                has_failed: false,
            }));
            self.viewers.borrow_mut().push(viewer.clone());
            let (audience, address) = (self.clone(), address.to_owned());
            scope.spawn_local("viewer", async move {
                let saw = |stamp| viewer.borrow_mut().saw(stamp, &audience.faults);
                let played = match way {
                    Way::Flv => flv(&address, saw).await,
                    Way::Hls => hls(&address, saw).await,
                };
                if let Err(error) = played {
                    tracing::warn!(%error, %way, "a viewer stopped");
                }
                audience.faults.borrow_mut().ended += 1;
            });
            if index % 20 == 19 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let begun = clock::now();
        let waiting = || {
            let viewers = self.viewers.borrow();
            let waits = |viewer: &&Rc<RefCell<Viewer>>| viewer.borrow().last.is_none();
            viewers.iter().filter(waits).count()
        };
        while waiting() > 0 {
            if begun.elapsed() > Duration::from_secs(30) {
                bail!("{} of {count} viewers got no picture by {way}", waiting());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// A round begins.
    pub fn measure(&self) {
        for viewer in self.viewers.borrow().iter() {
            let mut viewer = viewer.borrow_mut();
            (viewer.usual_us, viewer.worst_us, viewer.has_failed) = (0, 0, false);
        }
    }

    /// From now on frames may be late.
    pub fn fail(&self) {
        for viewer in self.viewers.borrow().iter() {
            viewer.borrow_mut().has_failed = true;
        }
    }

    /// By how much the latest frame of each viewer was later than usual.
    pub fn stalls_ms(&self) -> Vec<(Way, f64)> {
        let viewers = self.viewers.borrow();
        let stall = |viewer: &Rc<RefCell<Viewer>>| {
            let viewer = viewer.borrow();
            let added = viewer.worst_us.saturating_sub(viewer.usual_us);
            (viewer.way, added as f64 / 1000.0)
        };
        viewers.iter().map(stall).collect()
    }

    /// What went wrong so far.
    pub fn faults(&self) -> Faults {
        *self.faults.borrow()
    }
}

async fn flv(address: &str, mut saw: impl FnMut(Stamp)) -> anyhow::Result<()> {
    let mut socket = request_flv(address, &format!("/live/{ROOM}.flv")).await?;
    let (mut reader, mut buffer) = (FlvReader::default(), vec![0; 16 << 10]);
    loop {
        let length = socket.read(&mut buffer).await?;
        if length == 0 {
            bail!("the server closed the connection");
        }
        reader.feed(&buffer[..length], |tag| {
            if let Some(stamp) = tag.stamp {
                saw(stamp);
            }
        })?;
    }
}

/// Reloads the media playlist for each part, and fetches every part once.
async fn hls(address: &str, mut saw: impl FnMut(Stamp)) -> anyhow::Result<()> {
    let mut client = Client::open(address).await?;
    let folder = format!("/live/{ROOM}/");
    let index = client.get(&format!("{folder}index.m3u8")).await?;
    let index = String::from_utf8(index)?;
    let media = index
        .lines()
        .find(|line| line.ends_with("video/media.m3u8"))
        .context("no video rendition")?;
    let media = format!("{folder}{media}");
    let base = media.rsplit_once('/').context("a folder")?.0.to_owned();
    let mut seen: Option<String> = None;
    let mut query = String::new();
    loop {
        let list = String::from_utf8(client.get(&format!("{media}{query}")).await?)?;
        let parts: Vec<&str> = list.lines().filter_map(part).collect();
        // A new viewer begins with the newest part.
        let from = match &seen {
            None => parts.len().saturating_sub(1),
            Some(seen) => {
                parts
                    .iter()
                    .position(|part| part == seen)
                    .with_context(|| format!("part {seen} has left the list"))?
                    + 1
            }
        };
        for part in &parts[from..] {
            let bytes = client.get(&format!("{base}/{part}")).await?;
            Stamp::all(&bytes).into_iter().for_each(&mut saw);
            seen = Some((*part).to_owned());
        }
        query = next(&list)?;
    }
}

/// The URI of a part that is there.
fn part(line: &str) -> Option<&str> {
    let attributes = line.strip_prefix("#EXT-X-PART:")?;
    attributes.split("URI=\"").nth(1)?.split('"').next()
}

/// The query for the list with one part more: the next one of the segment that is not complete.
fn next(list: &str) -> anyhow::Result<String> {
    let first = list
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    let first: usize = first.context("no media sequence")?.parse()?;
    let complete = list.lines().filter(|line| line.starts_with("#EXTINF:"));
    let msn = first + complete.count();
    let lines: Vec<&str> = list.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with("#EXTINF:"));
    let open = lines[last.map_or(0, |last| last + 1)..]
        .iter()
        .filter(|line| part(line).is_some());
    Ok(format!("?_HLS_msn={msn}&_HLS_part={}", open.count()))
}

/// One connection that is kept.
struct Client {
    socket: TcpStream,
    address: String,
    buffer: Vec<u8>,
}

impl Client {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            address: address.to_owned(),
            buffer: Vec::new(),
        })
    }

    /// The body of `path`.
    async fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.socket.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if let Some(whole) = response_bytes(&self.buffer)?
                && self.buffer.len() >= whole
            {
                let head = self
                    .buffer
                    .windows(4)
                    .position(|window| window == b"\r\n\r\n");
                let body = head.context("a head")? + 4;
                return Ok(self.buffer[body..whole].to_vec());
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}
