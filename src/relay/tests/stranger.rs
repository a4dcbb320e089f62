//! A child made by hand, for what no child of ours would do.

use std::sync::Arc;

use bytes::Bytes;

use crate::net::tls::Authority;
use crate::relay::control;
use crate::relay::tests::peers::*;
use crate::relay::transport;
use crate::relay::wire::control::{Message, Purpose, Start as From, Subscribe};

/// A child made by hand: it dials and says nothing by itself.
pub(super) struct Stranger {
    pub(super) connection: quinn::Connection,
    pub(super) send: quinn::SendStream,
    pub(super) reader: control::Reader,
}

impl Stranger {
    pub(super) async fn dial(parent: &Node, authority: &Authority) -> Self {
        Self::greet(Self::connect(parent, authority).await.unwrap()).await
    }

    /// A child that takes at most so many bytes of a stream, and of all, before it reads.
    pub(super) async fn dial_narrow(
        parent: &Node,
        authority: &Authority,
        stream: u32,
        all: u32,
    ) -> Self {
        let mut narrow = quinn::TransportConfig::default();
        narrow.stream_receive_window(stream.into());
        narrow.receive_window(all.into());
        let mut client = Self::client(parent, authority);
        client.transport_config(Arc::new(narrow));
        Self::greet(Self::connect_as(parent, client).await.unwrap()).await
    }

    /// A child that says this first.
    pub(super) async fn dial_saying(parent: &Node, authority: &Authority, hello: Bytes) -> Self {
        let connection = Self::connect(parent, authority).await.unwrap();
        Self::greet_saying(connection, hello).await
    }

    async fn greet(connection: quinn::Connection) -> Self {
        let hello = control::hello(&"stranger".into(), Purpose::Pull);
        Self::greet_saying(connection, hello.encode()).await
    }

    async fn greet_saying(connection: quinn::Connection, hello: Bytes) -> Self {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_chunk(hello).await.unwrap();
        let mut reader = control::Reader::new(receive);
        reader.hello().await.unwrap();
        Self {
            connection,
            send,
            reader,
        }
    }

    pub(super) async fn connect(
        parent: &Node,
        authority: &Authority,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        Self::connect_as(parent, Self::client(parent, authority)).await
    }

    /// Trusts the parent, and shows a certificate of `authority`.
    pub(super) fn client(parent: &Node, authority: &Authority) -> quinn::ClientConfig {
        let mut local = Node::new("stranger", authority).local;
        local.authorities = parent.local.authorities.clone();
        transport::client_config(&config(&[]), &local.identity, &local.authorities).unwrap()
    }

    async fn connect_as(
        parent: &Node,
        client: quinn::ClientConfig,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        let endpoint = transport::endpoint(([127, 0, 0, 1], 0).into(), None).unwrap();
        endpoint
            .connect_with(client, parent.address(), "localhost")
            .unwrap()
            .await
    }

    /// Subscribes to the window of the video track that is announced first.
    pub(super) async fn subscribe(&mut self) {
        let Message::Announce(announce) = self.reader.next().await.unwrap() else {
            panic!("no announcement");
        };
        self.say(Message::Subscribe(Subscribe {
            subscription: 1,
            broadcast: announce.broadcast,
            track: "video".into(),
            start: From::Window,
        }))
        .await;
        let accepted = self.reader.next().await.unwrap();
        assert!(matches!(accepted, Message::SubscribeOk { .. }));
    }

    async fn say(&mut self, message: Message) {
        self.send.write_chunk(message.encode()).await.unwrap();
    }
}
