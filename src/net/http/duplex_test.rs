use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::net::http::fake::WAIT;
use crate::net::tls;

/// Kernel buffers, so that a few writes fill them.
const BUFFER_BYTES: usize = 8 << 10;

/// Both ends of a connection on loopback.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let client = client.await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let sized = SockRef::from(&server).set_send_buffer_size(BUFFER_BYTES);
    sized.unwrap();
    let sized = SockRef::from(&client).set_recv_buffer_size(BUFFER_BYTES);
    sized.unwrap();
    (client, server)
}

/// Writes until the stream is full; how much it took.
fn fill(writer: &Writer, bytes: &[u8]) -> usize {
    let mut written = 0;
    loop {
        match writer.try_write(&[IoSlice::new(bytes), IoSlice::new(bytes)]) {
            Ok(bytes) => written += bytes,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return written;
            }
        }
    }
}

/// What one of ten thousand connections goes through: a pass fills it, and its own task writes the
/// rest once the peer reads on.
async fn is_filled_and_goes_on(duplex: Duplex, mut peer: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut reader, writer) = duplex.split();
    writer.try_write(&[IoSlice::new(b"hello")]).unwrap();
    let mut text = [0; 5];
    peer.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"hello");

    let bytes = [7; 1000];
    let written = fill(&writer, &bytes);
    assert!(written > 0);
    let mut all = vec![0; written + bytes.len()];
    let rest = async {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let wait = poll_fn(|cx| writer.poll_write(cx, &[IoSlice::new(rest)]));
            rest = &rest[wait.await.unwrap()..];
        }
        poll_fn(|cx| writer.poll_flush(cx)).await.unwrap();
    };
    let ((), read) = tokio::join!(rest, peer.read_exact(&mut all));
    assert_eq!(read.unwrap(), all.len());
    assert!(all.iter().all(|byte| *byte == 7));

    poll_fn(|cx| writer.poll_shutdown(cx)).await.unwrap();
    assert_eq!(peer.read(&mut text).await.unwrap(), 0);
    peer.write_all(b"still").await.unwrap();
    reader.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"still");
    drop(peer);
    assert_eq!(reader.read(&mut text).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn plain_connection_is_filled_and_goes_on() {
    let (client, server) = sockets().await;
    let duplex = Duplex::plain(Bytes::new(), Shared::new(server), Counter::default(), ());
    let test = is_filled_and_goes_on(duplex, client);
    timeout(WAIT, test).await.unwrap();
}

#[tokio::test]
async fn tls_connection_is_filled_and_goes_on() {
    let authority = tls::Authority::create("test root");
    let identity = authority.issue(&["localhost"]).unwrap();
    let certificates = tls::ServerCertificates::new(std::slice::from_ref(&identity)).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(certificates, &[])));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));

    let (client, server) = sockets().await;
    let name = "localhost".try_into().unwrap();
    let (client, server) = tokio::join!(connector.connect(name, client), acceptor.accept(server));
    let duplex = Duplex::new(Bytes::new(), server.unwrap());
    let test = is_filled_and_goes_on(duplex, client.unwrap());
    timeout(WAIT, test).await.unwrap();
}

#[tokio::test]
async fn what_a_pass_left_inside_leaves_with_the_readers_turns() {
    let (mut peer, pipe) = tokio::io::duplex(4);
    let duplex = Duplex::new(Bytes::from_static(b"early"), BufStream::new(pipe));
    let (mut reader, writer) = duplex.split();
    let mut text = [0; 5];
    reader.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"early");

    assert_eq!(
        writer.try_write(&[IoSlice::new(b"hello world")]).unwrap(),
        11
    );
    let mut all = [0; 11];
    let mut turns = [0; 1];
    let read = async { peer.read_exact(&mut all).await.map(drop) };
    tokio::select! {
        done = timeout(WAIT, read) => done.unwrap().unwrap(),
        _ = reader.read(&mut turns) => panic!("nobody wrote"),
    }
    assert_eq!(&all, b"hello world");
}

#[tokio::test]
async fn stream_closes_when_all_of_its_parts_are_dropped() {
    let (mut client, server) = sockets().await;
    let held = Rc::new(());
    let gone = Rc::downgrade(&held);
    let shared = Shared::new(server);
    let duplex = Duplex::plain(Bytes::new(), shared, Counter::default(), held);
    let (reader, writer) = duplex.split();
    let other = writer.clone();
    drop((reader, writer));
    other.try_write(&[IoSlice::new(b"hello")]).unwrap();
    drop(other);
    assert!(gone.upgrade().is_none());
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
}
