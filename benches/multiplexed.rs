//! WebSockets that share HTTP/2 connections (RFC 8441), so that a process may have more of them
//! than files.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rushlane::runtime::TaskScope;
use tokio::net::TcpStream;

use crate::servers::ROOM;

/// A connection to the edge that many members share.
pub struct Shared(SendRequest<Empty<Bytes>>);

impl Shared {
    /// Connects to `address`; the connection lives as long as `scope`.
    pub async fn connect(address: SocketAddr, scope: &TaskScope) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let builder = Builder::new(TokioExecutor::new());
        let (mut requests, connection) = builder.handshake(TokioIo::new(stream)).await?;
        scope.spawn_local("shared", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a shared connection ended");
            }
        });
        // With the first answer the edge's settings are here: it takes CONNECT.
        let uri = format!("http://localhost/rooms/{ROOM}/snapshot");
        let request = Request::get(uri).body(Empty::new())?;
        let status = requests.send_request(request).await?.status();
        if !status.is_success() {
            bail!("the room's snapshot: {status}");
        }
        Ok(Self(requests))
    }

    /// One more WebSocket to the room.
    pub async fn websocket(&mut self) -> anyhow::Result<TokioIo<Upgraded>> {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://localhost/rooms/{ROOM}/ws"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::new())?;
        let answer = self.0.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            bail!("no WebSocket over HTTP/2: {}", answer.status());
        }
        let upgraded = hyper::upgrade::on(answer).await;
        Ok(TokioIo::new(upgraded.context("the tunnel did not open")?))
    }
}
