//! A node with one worker in front of a fake origin, and members who speak WebSocket.

use std::net::Ipv4Addr;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::auth::{self, Gate};
use crate::net::http::{Body, Duplex, Protocol, Reply, Request, Response, Service, Upgrade};
use crate::rooms::doors::fake::{Fake, WAIT};
use crate::rooms::doors::{Doors, Parts};
use crate::rooms::{Config, Settings, moderation};
use crate::runtime::{Shutdown, TaskScope};
use crate::shed::Gauge;
use crate::telemetry::Metrics;
use crate::telemetry::access::Slip;

/// A node with one worker in front of a fake origin.
pub(super) struct Node {
    pub(super) origin: Fake,
    pub(super) doors: Doors,
    service: Rc<dyn Service>,
    _shutdown: Shutdown,
}

pub(super) type Client = WebSocketStream<DuplexStream>;

pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        timeout(3 * WAIT, test)
            .await
            .expect("the test ends in time");
    });
}

impl Node {
    pub(super) fn new(config: &Config) -> Self {
        Self::at(config, Gauge::default())
    }

    /// A node that sheds as `shedding` says.
    pub(super) fn at(config: &Config, shedding: Gauge) -> Self {
        let origin = Fake::new();
        let shutdown = Shutdown::new();
        let scope = TaskScope::under(&shutdown);
        let metrics = Metrics::default();
        let parts = moderation::Parts {
            node_name: "n".into(),
            exchange: origin.exchange.clone(),
            metrics: &metrics,
            scope: &scope,
            runtime: &Handle::current(),
        };
        let rules = moderation::Rules::start(&moderation::Config::default(), parts).unwrap();
        let doors = Doors::new(
            Settings::new(config, shedding),
            Parts {
                store: origin.store.clone(),
                exchange: origin.exchange.clone(),
                auth: Gate::new(&auth::Config::default(), &metrics).unwrap(),
                moderation: rules,
                metrics,
                node_name: "n".into(),
                scope,
                runtime: Handle::current(),
            },
        );
        let service = doors.service(0);
        Self {
            origin,
            doors,
            service,
            _shutdown: shutdown,
        }
    }

    pub(super) async fn call(&self, request: Request) -> Response {
        match self.service.call(request) {
            Reply::Ready(response) => response,
            Reply::Later(later) => later.await,
        }
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.call(request(Method::GET, path, "")).await)
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let body = body.to_string();
        read(self.call(request(Method::POST, path, &body)).await)
    }

    /// A WebSocket on `path`, whose queue in memory has `bytes`.
    pub(super) async fn connect(&self, path: &str, bytes: usize) -> Result<Client, StatusCode> {
        let mut request = request(Method::GET, path, "");
        request.upgrade = Some(Upgrade::WebSocket);
        let response = self.call(request).await;
        let status = response.status();
        let Body::Duplex(start) = response.into_body() else {
            return Err(status);
        };
        let (ours, theirs) = tokio::io::duplex(bytes);
        start(Duplex::new(Bytes::new(), theirs));
        Ok(WebSocketStream::from_raw_socket(ours, Role::Client, None).await)
    }

    /// The same, for `user`, with room for everything.
    pub(super) async fn join(&self, query: &str) -> Client {
        let path = format!("/rooms/r/ws?{query}");
        self.connect(&path, 1 << 20).await.unwrap()
    }
}

pub(super) fn request(method: Method, path: &str, body: &str) -> Request {
    Request {
        method,
        uri: path.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        upgrade: None,
        protocol: Protocol::H1,
        secure: false,
        peer: (Ipv4Addr::LOCALHOST, 1).into(),
        extensions: http::Extensions::new(),
        direct: None,
        slip: Slip::default(),
    }
}

pub(super) fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let Body::Chunks(chunks) = response.into_body() else {
        panic!("a body that is known");
    };
    let bytes = chunks.as_slice().concat();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The next event.
pub(super) async fn next(client: &mut Client) -> Value {
    loop {
        let message = timeout(WAIT, client.next()).await.expect("in time");
        match message.expect("open").expect("well-formed") {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// The next event of type `kind`; others are passed over.
pub(super) async fn next_of(client: &mut Client, kind: &str) -> Value {
    loop {
        let event = next(client).await;
        if event["type"] == kind {
            return event;
        }
    }
}

/// The code that the connection ends with.
pub(super) async fn close_code(client: &mut Client) -> u16 {
    loop {
        let message = timeout(WAIT, client.next()).await.expect("in time");
        match message.expect("a close frame first") {
            Ok(Message::Close(Some(frame))) => return frame.code.into(),
            Ok(_) => {}
            Err(error) => panic!("ended without a close: {error}"),
        }
    }
}

pub(super) async fn say(client: &mut Client, command: Value) {
    client
        .send(Message::text(command.to_string()))
        .await
        .unwrap();
}

/// What is there now, as the texts of notices.
pub(super) async fn texts(client: &mut Client, until: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let event = next_of(client, "notice").await;
        let text = event["body"]["text"].as_str().unwrap().to_owned();
        if text == until {
            return texts;
        }
        texts.push(text);
    }
}
