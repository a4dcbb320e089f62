use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use std::collections::HashSet;

use super::*;
use crate::net::socket;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Both processes are this one here.
#[test]
fn who_knocks_during_a_hand_over_is_let_in_by_the_successor() {
    let listener = socket::tcp(ANY, true).unwrap();
    let address = listener.local_addr().unwrap();
    let port = Port::new(socket::udp(ANY, true, 0).unwrap());
    let udp = port.socket.local_addr().unwrap();
    let (mut before, mut after) = (Heritage::new(), Heritage::new());
    before.kept.push(Kept::Tcp(listener.try_clone().unwrap()));
    let socket = port.socket.try_clone().unwrap();
    before.kept.push(Kept::Udp(socket, port.feed.clone()));

    let (ours, theirs) = UnixStream::pair().unwrap();
    let elder = thread::spawn(move || {
        let duties = Duties {
            broadcasts: ["room".to_owned()].into(),
            tracks: HashSet::new(),
        };
        let successor = before.give(ours, duties).unwrap();
        successor.ready().unwrap();
        successor
    });
    let younger = after.take(theirs).unwrap();
    assert!(younger.duties.broadcasts.contains("room"));
    // The one before accepts no more, and somebody knocks.
    drop(listener);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"hello").unwrap();

    let taken = &after.tcp[&address];
    assert_eq!((taken.len(), after.udp[&udp].len()), (1, 1));
    assert!(after.elder.is_some());
    let opened = thread::spawn(move || younger.go().map(|()| younger));
    let successor = elder.join().unwrap();
    assert_eq!(successor.feeds.len(), 1);
    // A worker of the process before lets go of its socket.
    let feed = port.feed.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let worker = async {
            let _datagrams = feed.given().await;
            feed.taken();
        };
        let (gone, ()) = tokio::join!(successor.go(), worker);
        gone.unwrap();
    });
    opened.join().unwrap().unwrap();
    runtime.block_on(after.latch.opened());

    taken[0].set_nonblocking(false).unwrap();
    let (mut served, _) = taken[0].accept().unwrap();
    let mut hello = [0; 5];
    served.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

#[test]
fn a_successor_that_ends_is_noticed() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let successor = Successor {
        stream: ours,
        feeds: Vec::new(),
    };
    let error = successor.ready().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}
