//! A connection between coordinator and worker: who is it, and messages that nobody else can have
//! written.
//!
//! The worker greets with a nonce; the coordinator answers with another one and proves that it
//! knows the shared secret; the worker proves the same. After that, a message is its length
//! (4 bytes), JSON, and an HMAC-SHA256 over its number and the JSON, with a key of the connection
//! and direction. Knows nothing of what the messages mean. They are not encrypted: no secret goes
//! over here.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::{hmac, rand};
use bytes::{Buf as _, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Secret;

/// The version of everything that is said here.
pub(super) const VERSION: u32 = 1;
/// The largest message, in bytes: above a book with every bucket of every histogram in use.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The same for who has proven nothing yet.
const STRANGER_BYTES_MAX: usize = 1024;
/// How long the greetings may take.
const GREETING: Duration = Duration::from_secs(5);
/// How long a message may take to be sent.
const SEND: Duration = Duration::from_secs(5);
/// Bytes of a length.
const LENGTH_BYTES: usize = 4;
/// Bytes of an HMAC.
const TAG_BYTES: usize = 32;

type Nonce = [u8; 32];

/// The worker's first words.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    version: u32,
    nonce: Nonce,
}

/// The coordinator's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    version: u32,
    nonce: Nonce,
    proof: [u8; TAG_BYTES],
}

/// What the worker says to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Welcome([u8; TAG_BYTES]),
    Refused(String),
}

/// Sends messages.
pub(super) struct Sender {
    half: OwnedWriteHalf,
    seal: Seal,
}

/// Receives messages.
pub(super) struct Receiver {
    half: OwnedReadHalf,
    seal: Seal,
    input: BytesMut,
}

/// What proves that a message is the next one of the other side.
struct Seal {
    key: hmac::Key,
    number: u64,
}

impl Seal {
    fn next(&mut self, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.number.to_be_bytes());
        context.update(body);
        self.number += 1;
        context.sign()
    }
}

/// What both sides know after the nonces.
struct Met<'a> {
    secret: &'a Secret,
    worker: Nonce,
    coordinator: Nonce,
}

impl Met<'_> {
    /// What `role` is proven by, or made from.
    fn tag(&self, role: &str) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.secret.0);
        for part in [role.as_bytes(), &[0], &VERSION.to_be_bytes()] {
            context.update(part);
        }
        context.update(&self.worker);
        context.update(&self.coordinator);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    fn holds(&self, role: &str, proof: &[u8; TAG_BYTES]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(role), proof).is_ok()
    }

    fn open(&self, stream: TcpStream, speaks: &str, hears: &str) -> (Sender, Receiver) {
        let seal = |role| Seal {
            key: hmac::Key::new(hmac::HMAC_SHA256, &self.tag(role)),
            number: 0,
        };
        let (read, write) = stream.into_split();
        let sender = Sender {
            half: write,
            seal: seal(speaks),
        };
        let receiver = Receiver {
            half: read,
            seal: seal(hears),
            input: BytesMut::new(),
        };
        (sender, receiver)
    }
}

const COORDINATOR: &str = "coordinator";
const WORKER: &str = "worker";
const FROM_COORDINATOR: &str = "from the coordinator";
const FROM_WORKER: &str = "from the worker";

/// The worker's side. Errors: a stranger, or another version.
pub(super) async fn accept(
    mut stream: TcpStream,
    secret: &Secret,
) -> anyhow::Result<(Sender, Receiver)> {
    let greet = async {
        stream.set_nodelay(true)?;
        let worker = nonce()?;
        let greeting = Greeting {
            version: VERSION,
            nonce: worker,
        };
        say(&mut stream, &greeting).await?;
        let claim: Claim = hear(&mut stream).await?;
        let met = Met {
            secret,
            worker,
            coordinator: claim.nonce,
        };
        let why = if claim.version != VERSION {
            format!(
                "it speaks version {VERSION}, the coordinator {}",
                claim.version
            )
        } else if !met.holds(COORDINATOR, &claim.proof) {
            "the secrets differ".to_owned()
        } else {
            say(&mut stream, &Answer::Welcome(met.tag(WORKER))).await?;
            return anyhow::Ok(met);
        };
        say(&mut stream, &Answer::Refused(why.clone())).await?;
        bail!(why)
    };
    let met = tokio::time::timeout(GREETING, greet)
        .await
        .context("it does not greet")??;
    Ok(met.open(stream, FROM_WORKER, FROM_COORDINATOR))
}

/// The coordinator's side. Errors: refused, no worker, or another version.
pub(super) async fn dial(address: &str, secret: &Secret) -> anyhow::Result<(Sender, Receiver)> {
    let greet = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let greeting: Greeting = hear(&mut stream).await?;
        let version = greeting.version;
        ensure!(
            version == VERSION,
            "it speaks version {version}, this program {VERSION}: use the same build"
        );
        let coordinator = nonce()?;
        let met = Met {
            secret,
            worker: greeting.nonce,
            coordinator,
        };
        let claim = Claim {
            version: VERSION,
            nonce: coordinator,
            proof: met.tag(COORDINATOR),
        };
        say(&mut stream, &claim).await?;
        match hear(&mut stream).await? {
            Answer::Welcome(proof) => ensure!(
                met.holds(WORKER, &proof),
                "it does not know the secret: it is no worker of ours"
            ),
            Answer::Refused(why) => bail!("refused: {why}"),
        }
        anyhow::Ok((stream, met))
    };
    let (stream, met) = tokio::time::timeout(GREETING, greet)
        .await
        .context("no answer")??;
    Ok(met.open(stream, FROM_COORDINATOR, FROM_WORKER))
}

fn nonce() -> anyhow::Result<Nonce> {
    let mut nonce = [0; 32];
    rand::fill(&mut nonce).ok().context("no random numbers")?;
    Ok(nonce)
}

async fn say<T: Serialize>(stream: &mut TcpStream, message: &T) -> anyhow::Result<()> {
    let body = serde_json::to_vec(message)?;
    let mut bytes = u32::try_from(body.len())?.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(stream.write_all(&bytes).await?)
}

async fn hear<T: DeserializeOwned>(stream: &mut TcpStream) -> anyhow::Result<T> {
    let bytes = stream.read_u32().await? as usize;
    let fits = bytes <= STRANGER_BYTES_MAX;
    ensure!(
        fits,
        "a greeting of {bytes} bytes: at most {STRANGER_BYTES_MAX}"
    );
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).await?;
    serde_json::from_slice(&body).context("this is no greeting")
}

impl Sender {
    /// Sends `message`. Not cancel-safe. Errors: the connection is of no use any more.
    pub(super) async fn send<T: Serialize>(&mut self, message: &T) -> anyhow::Result<()> {
        let body = serde_json::to_vec(message)?;
        let bytes = body.len();
        let fits = bytes <= MESSAGE_BYTES_MAX;
        ensure!(
            fits,
            "a message of {bytes} bytes: at most {MESSAGE_BYTES_MAX}"
        );
        let mut sealed = Vec::with_capacity(LENGTH_BYTES + bytes + TAG_BYTES);
        sealed.extend_from_slice(&u32::try_from(bytes)?.to_be_bytes());
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(self.seal.next(&body).as_ref());
        let sent = tokio::time::timeout(SEND, self.half.write_all(&sealed)).await;
        Ok(sent.context("it takes no messages")??)
    }
}

impl Receiver {
    /// The next message; waits without a limit. Cancel-safe. Errors: the other side has gone, or
    /// what came is not its next message; the connection is of no use any more.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        loop {
            if let Some(body) = self.take()? {
                return serde_json::from_slice(&body).context("no message of this version");
            }
            let read = self.half.read_buf(&mut self.input).await?;
            ensure!(read > 0, "the connection was closed");
        }
    }

    fn take(&mut self) -> anyhow::Result<Option<BytesMut>> {
        let Some(length) = self.input.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*length) as usize;
        let fits = bytes <= MESSAGE_BYTES_MAX;
        ensure!(
            fits,
            "a message of {bytes} bytes: at most {MESSAGE_BYTES_MAX}"
        );
        if self.input.len() < LENGTH_BYTES + bytes + TAG_BYTES {
            return Ok(None);
        }
        self.input.advance(LENGTH_BYTES);
        let body = self.input.split_to(bytes);
        let tag = self.input.split_to(TAG_BYTES);
        let expected = self.seal.next(&body);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), &tag)
            .ok()
            .context("a message that the other side has not sent")?;
        Ok(Some(body))
    }
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod tests;
