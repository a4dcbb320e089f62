//! Newcomers in a process of their own, which has the client core only while nobody else wants it,
//! so that whoever measures beside them is not measured through them: `SCHED_IDLE`, for behind the
//! lowest niceness a thread that wakes still waits for the end of a slice. They come at a fixed
//! rate whatever answers take, and do what they are told: wait, come back with their ticket, go
//! elsewhere.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::outcome;
use crate::process::CLIENT_CORE;
use crate::servers::ROOM;

/// How often the figures are written down.
const WRITE: Duration = Duration::from_millis(500);
/// The longest head of a reply.
const HEAD_BYTES_MAX: usize = 8192;

/// What newcomers want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// HTTP-FLV, for as long as it lasts.
    Flv,
    /// The first part of LL-HLS, and nothing after it.
    FirstPart,
}

/// Newcomers; ended when dropped.
pub struct Crowd {
    child: Child,
    figures: PathBuf,
}

/// What became of them so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Those who have come.
    pub came: u64,
    /// Those who have media.
    pub served: u64,
    /// Those who were told to wait, each once.
    pub waited: u64,
    /// Those who were sent to another edge.
    pub elsewhere: u64,
    /// Those who got something else.
    pub failed: u64,
    /// From coming to the first byte of media, in milliseconds: p50, p95, the longest.
    pub first_ms: [f64; 3],
}

impl Crowd {
    /// Lets `count` newcomers come to `address`, `per_second` of them.
    pub fn start(
        folder: &Path,
        address: &str,
        wish: Wish,
        (count, per_second): (u64, u64),
    ) -> anyhow::Result<Self> {
        let figures = folder.join("crowd.json");
        let _last_run = fs::remove_file(&figures);
        let log = fs::File::create(folder.join("crowd.log"))?;
        let script = format!(
            "ulimit -n $(ulimit -Hn); exec chrt --idle 0 taskset -c {CLIENT_CORE} \"$0\" \"$@\""
        );
        let way = match wish {
            Wish::Flv => "flv",
            Wish::FirstPart => "part",
        };
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe()?)
            .args(["crowd", address, way, &count.to_string()])
            .arg(per_second.to_string())
            .arg(&figures)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Self { child, figures })
    }

    /// What became of them so far.
    pub fn figures(&self) -> Figures {
        let text = fs::read_to_string(&self.figures).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The process of a crowd: `crowd ADDRESS WAY COUNT PER_SECOND FILE`.
pub async fn run(words: &[String]) -> anyhow::Result<()> {
    let [address, way, count, per_second, file] = words else {
        bail!("crowd ADDRESS WAY COUNT PER_SECOND FILE");
    };
    let (count, per_second): (u64, u64) = (count.parse()?, per_second.parse()?);
    let wish = if way == "flv" {
        Wish::Flv
    } else {
        Wish::FirstPart
    };
    let counts = Rc::new(RefCell::new((Figures::default(), outcome::microseconds())));
    let scope = TaskScope::under(&Shutdown::new());
    let (writing, file) = (counts.clone(), PathBuf::from(file));
    scope.spawn_local("figures", async move {
        loop {
            tokio::time::sleep(WRITE).await;
            let text = serde_json::to_string(&shown(&writing.borrow()));
            // Whole at once: somebody may be reading.
            let new = file.with_extension("new");
            let written = fs::write(&new, text.unwrap_or_default());
            written.and_then(|()| fs::rename(&new, &file)).ok();
        }
    });
    let started = clock::now();
    for number in 0..count {
        let due = Duration::from_micros(number * 1_000_000 / per_second);
        tokio::time::sleep_until(started + due).await;
        counts.borrow_mut().0.came += 1;
        let (address, counts) = (address.clone(), counts.clone());
        scope.spawn_local("newcomer", async move {
            let newcomer = Newcomer { address, counts };
            if newcomer.come(wish).await.is_err() {
                newcomer.counts.borrow_mut().0.failed += 1;
            }
        });
    }
    std::future::pending::<()>().await;
    Ok(())
}

fn shown((figures, first_us): &(Figures, Histogram<u64>)) -> Figures {
    let ms = |q| first_us.value_at_quantile(q) as f64 / 1000.0;
    Figures {
        first_ms: [ms(0.5), ms(0.95), ms(1.0)],
        ..figures.clone()
    }
}

struct Newcomer {
    address: String,
    counts: Rc<RefCell<(Figures, Histogram<u64>)>>,
}

/// A reply: its status, its head, and what of the body has come.
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Newcomer {
    async fn come(&self, wish: Wish) -> anyhow::Result<()> {
        let came = clock::now();
        let path = match wish {
            Wish::Flv => format!("/live/{ROOM}.flv"),
            Wish::FirstPart => format!("/live/{ROOM}/index.m3u8"),
        };
        let Some((mut stream, reply)) = self.enter(&path).await? else {
            return Ok(());
        };
        if wish == Wish::FirstPart {
            first_part(&mut stream, &self.address, &reply).await?;
        }
        {
            let (figures, first_us) = &mut *self.counts.borrow_mut();
            figures.served += 1;
            first_us.saturating_record(u64::try_from(came.elapsed().as_micros())?);
        }
        match wish {
            Wish::Flv => watch(&stream).await,
            Wish::FirstPart => Ok(()),
        }
    }

    /// Comes back as often as told to; `None`: another edge is to be asked.
    async fn enter(&self, path: &str) -> anyhow::Result<Option<(TcpStream, Reply)>> {
        let mut query = String::new();
        let mut is_waiting = false;
        loop {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            let whole = path.ends_with(".m3u8");
            let target = format!("{path}{query}");
            let reply = ask(&mut stream, &self.address, &target, whole).await?;
            match reply.status {
                200 => return Ok(Some((stream, reply))),
                307 => {
                    self.counts.borrow_mut().0.elsewhere += 1;
                    return Ok(None);
                }
                503 => {}
                status => bail!("HTTP {status}"),
            }
            let problem: Value = serde_json::from_slice(&reply.body)?;
            let seconds = problem["retry_after_s"]
                .as_f64()
                .context("no retry_after_s")?;
            if let Some(ticket) = problem["ticket"].as_str() {
                query = format!("?queue={ticket}");
            }
            if !std::mem::replace(&mut is_waiting, true) {
                self.counts.borrow_mut().0.waited += 1;
            }
            drop(stream);
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
    }
}

/// From the multivariant playlist to the newest part that can be played.
async fn first_part(stream: &mut TcpStream, host: &str, index: &Reply) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&index.body);
    let media = text.lines().find(|line| line.ends_with(".m3u8"));
    let media = format!("/live/{ROOM}/{}", media.context("no variant")?);
    let playlist = ask(stream, host, &media, true).await?;
    let text = String::from_utf8_lossy(&playlist.body);
    let mut playable = text
        .lines()
        .filter(|line| line.contains("INDEPENDENT=YES") || line.ends_with(".m4s"));
    let newest = playable.next_back().context("nothing to play")?;
    let name = newest
        .split("URI=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let folder = media.rsplit_once('/').map_or("", |(folder, _)| folder);
    let object = format!("{folder}/{}", name.unwrap_or(newest));
    let part = ask(stream, host, &object, true).await?;
    if part.status != 200 {
        bail!("{object}: HTTP {}", part.status);
    }
    Ok(())
}

/// Asks for `target`; reads the whole body, or what came with the head.
async fn ask(
    stream: &mut TcpStream,
    host: &str,
    target: &str,
    whole: bool,
) -> anyhow::Result<Reply> {
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(4096);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            bail!("no head of a reply");
        }
    };
    let body = bytes.split_off(end);
    let head = String::from_utf8(bytes)?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let mut reply = Reply { status, head, body };
    if whole || status != 200 {
        let length = reply.head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
        let length: usize = length.unwrap_or(0);
        while reply.body.len() < length {
            if stream.read_buf(&mut reply.body).await? == 0 {
                bail!("the body ends early");
            }
        }
    }
    Ok(reply)
}

/// Reads and forgets.
async fn watch(stream: &TcpStream) -> anyhow::Result<()> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
    }
    loop {
        stream.readable().await?;
        BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        })?;
    }
}
