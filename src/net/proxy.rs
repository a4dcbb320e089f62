//! The PROXY protocol, version 2: what a balancer in front says of the connection it passes on.
//!
//! Sans-IO: bytes in, an address out. Version 1, the text form, is not taken: it has no length, so
//! a peer that stops in the middle is told from a short line by time alone.
//!
//! Spec: haproxy, doc/proxy-protocol.txt (2020), section 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;

/// The longest header that is read. Addresses take 216 bytes at most; the rest is for what
/// balancers add, such as the client's certificate.
pub const HEADER_BYTES_MAX: usize = 4096;

/// What the bytes at the front of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header.
    Whole(Header),
    /// The beginning of one, which has at least so many bytes in all.
    Needs(usize),
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who connected to the balancer; `None` when the balancer speaks for itself, as its health
    /// checks do, or tells no Internet address.
    pub source: Option<SocketAddr>,
    /// Bytes of the header; what follows belongs to the connection.
    pub length: usize,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else begins here.
    #[error("no PROXY header of version 2")]
    Signature,
    /// A version or command that does not exist.
    #[error("version and command {0:#04x} are not known")]
    Command(u8),
    /// The addresses do not fit the length.
    #[error("{length} bytes hold no addresses of family {family:#04x}")]
    Addresses {
        /// Family and protocol, as they came.
        family: u8,
        /// The length that came with them.
        length: usize,
    },
    /// It is longer than [`HEADER_BYTES_MAX`].
    #[error("a header of {0} bytes is above the limit of {HEADER_BYTES_MAX}")]
    TooLong(usize),
}

/// Reads the header at the front of `bytes`.
///
/// Errors: [`Fault`]; the connection is of no use.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(Fault::Signature);
    }
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else {
        return Ok(Parsed::Needs(FIXED_BYTES));
    };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        other => return Err(Fault::Command(other)),
    };
    let whole = FIXED_BYTES + length;
    if whole > HEADER_BYTES_MAX {
        return Err(Fault::TooLong(whole));
    }
    let Some(block) = rest.get(..length) else {
        return Ok(Parsed::Needs(whole));
    };
    let source = match is_local {
        true => None,
        false => source(family, block)?,
    };
    let length = whole;
    Ok(Parsed::Whole(Header { source, length }))
}

/// The source in an address block: source, destination, and their ports.
fn source(family: u8, block: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    let fault = Fault::Addresses {
        family,
        length: block.len(),
    };
    // The low half is the transport. Ours is a stream, whatever the balancer's own side was.
    match family >> 4 {
        // Unspecified, and Unix sockets: a stream of somebody who has no Internet address.
        0 | 3 => Ok(None),
        1 => {
            let block: &[u8; 12] = block.first_chunk().ok_or(fault)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *block;
            let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            Ok(Some((address, u16::from_be_bytes([high, low])).into()))
        }
        2 => {
            let block: &[u8; 36] = block.first_chunk().ok_or(fault)?;
            let address: &[u8; 16] = block.first_chunk().ok_or(fault)?;
            let address = IpAddr::V6(Ipv6Addr::from(*address)).to_canonical();
            let port = u16::from_be_bytes([block[32], block[33]]);
            Ok(Some((address, port).into()))
        }
        _ => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of `command`, `family` and `block`.
    fn header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, block].concat()
    }

    fn v4() -> Vec<u8> {
        header(0x21, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0xC0, 0x01, 0, 80])
    }

    #[test]
    fn the_client_is_who_the_balancer_names() {
        let mut bytes = v4();
        let length = bytes.len();
        bytes.extend_from_slice(b"GET / HTTP/1.1");
        let source = Some("192.0.2.1:49153".parse().unwrap());
        assert_eq!(parse(&bytes), Ok(Parsed::Whole(Header { source, length })));

        let mut block = [0; 40];
        block[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        block[32..34].copy_from_slice(&443_u16.to_be_bytes());
        let header = Header {
            source: Some("[2001:db8::7]:443".parse().unwrap()),
            length: 56,
        };
        assert_eq!(
            parse(&self::header(0x21, 0x21, &block)),
            Ok(Parsed::Whole(header))
        );
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_names_nobody() {
        for bytes in [
            header(0x20, 0x00, &[]),
            header(0x20, 0x11, &[1; 12]),
            header(0x21, 0x00, &[9; 7]),
            header(0x21, 0x31, &[9; 216]),
        ] {
            let length = bytes.len();
            let source = None;
            assert_eq!(parse(&bytes), Ok(Parsed::Whole(Header { source, length })));
        }
    }

    #[test]
    fn what_is_no_header_is_refused_at_its_first_bytes() {
        assert_eq!(parse(b"G"), Err(Fault::Signature));
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIX"), Err(Fault::Signature));
        assert_eq!(parse(b"PROXY TCP4 1.2.3.4 "), Err(Fault::Signature));
        assert_eq!(
            parse(&header(0x11, 0x11, &[0; 12])),
            Err(Fault::Command(0x11))
        );
        assert_eq!(
            parse(&header(0x22, 0x11, &[0; 12])),
            Err(Fault::Command(0x22))
        );
        let short = |family, length| Err(Fault::Addresses { family, length });
        assert_eq!(parse(&header(0x21, 0x11, &[0; 11])), short(0x11, 11));
        assert_eq!(parse(&header(0x21, 0x21, &[0; 35])), short(0x21, 35));
        assert_eq!(parse(&header(0x21, 0x51, &[0; 35])), short(0x51, 35));
        let long = header(0x21, 0x11, &[0; 5000]);
        assert_eq!(parse(&long[..FIXED_BYTES]), Err(Fault::TooLong(5016)));
    }

    #[test]
    fn every_beginning_of_a_header_waits_for_the_rest() {
        let bytes = v4();
        for end in 0..bytes.len() {
            let needs = if end < FIXED_BYTES {
                FIXED_BYTES
            } else {
                bytes.len()
            };
            assert_eq!(
                parse(&bytes[..end]),
                Ok(Parsed::Needs(needs)),
                "{end} bytes"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            command in any::<u8>(),
            family in any::<u8>(),
            block in prop::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = header(command, family, &block);
            let bytes = &bytes[..cut.index(bytes.len() + 1).min(bytes.len())];
            match parse(bytes) {
                Ok(Parsed::Whole(header)) => prop_assert!(header.length <= bytes.len()),
                Ok(Parsed::Needs(all)) => prop_assert!(bytes.len() < all),
                Err(_) => {}
            }
        }
    }
}
