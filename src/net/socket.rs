//! Sockets as the workers need them: non-blocking, shareable by SO_REUSEPORT, sized.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use crate::net::heritage::{self, Port};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that may wait for `accept`. A join storm of 1,000 viewers arrives in a few wakes of
/// a worker; the kernel clamps it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A silent peer is asked after a minute whether it is still there, and given up 45 s later.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(3);

/// A listener on `address` that nobody else shares; the one that the process before had, if it had
/// one. It is handed on to the process after.
pub fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match heritage::take_tcp(address).pop() {
        Some(listener) => listener,
        None => tcp(address, false)?,
    };
    heritage::keep_tcp(&listener);
    Ok(listener)
}

/// At least `count` listeners on one address, among which the kernel spreads connections: those
/// that the process before had, and further ones. They are handed on to the process after.
pub(super) fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let mut listeners = heritage::take_tcp(address);
    let mut address = address;
    if listeners.is_empty() {
        // SO_REUSEPORT would let two nodes share a port without a word: ask for it alone first.
        address = tcp(address, false)?.local_addr()?;
    }
    while listeners.len() < count {
        listeners.push(tcp(address, true)?);
    }
    listeners.iter().for_each(heritage::keep_tcp);
    Ok(listeners)
}

/// The same for UDP, with kernel buffers of `buffer_bytes`.
pub(super) fn ports(
    address: SocketAddr,
    count: usize,
    buffer_bytes: usize,
) -> io::Result<Vec<Port>> {
    let mut ports = heritage::take_udp(address);
    let mut address = address;
    if ports.is_empty() {
        address = udp(address, false, 0)?.local_addr()?;
    }
    while ports.len() < count {
        ports.push(Port::new(udp(address, true, buffer_bytes)?));
    }
    ports.iter().for_each(heritage::keep_udp);
    Ok(ports)
}

/// A non-blocking TCP listener on `address`. `reuse_port` lets the workers of one process share the
/// port.
pub fn tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted node takes its port back while old connections still linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    bind(&socket, address, reuse_port)?;
    // Accepted connections inherit it, so a half-open peer that is sent nothing goes away too.
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A non-blocking UDP socket on `address`. `reuse_port` lets the workers of one process share the
/// port; `buffer_bytes` sizes both kernel buffers (0: leave the system's default; the kernel clamps
/// to `net.core.rmem_max` and `wmem_max`).
pub fn udp(address: SocketAddr, reuse_port: bool, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if buffer_bytes > 0 {
        socket.set_recv_buffer_size(buffer_bytes)?;
        socket.set_send_buffer_size(buffer_bytes)?;
    }
    bind(&socket, address, reuse_port)?;
    Ok(socket.into())
}

fn bind(socket: &Socket, address: SocketAddr, reuse_port: bool) -> io::Result<()> {
    if address.is_ipv6() {
        // `[::]` serves IPv4 too, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn workers_share_a_port_and_strangers_do_not() {
        let first = tcp(ANY, true).unwrap();
        let address = first.local_addr().unwrap();
        assert!(tcp(address, true).is_ok());
        assert_eq!(
            tcp(address, false).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );

        let first = udp(ANY, true, 1 << 16).unwrap();
        let address = first.local_addr().unwrap();
        assert!(udp(address, true, 0).is_ok());
        assert_eq!(
            udp(address, false, 0).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
