//! A place in the queue, in the hands of the one who has it: his number, signed for his address.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The longest ticket that is looked at, in bytes; ours have 54.
const TEXT_BYTES_MAX: usize = 64;
const NUMBER_BYTES: usize = 8;

/// Signs tickets. It lives as long as the process: whoever comes after it queues anew.
pub(super) struct Key(hmac::Key);

impl Key {
    /// A key that nobody knows.
    pub(super) fn random() -> Self {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).expect("the system has random bytes");
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// The ticket of `number` for `address`.
    pub(super) fn sign(&self, number: u64, address: IpAddr) -> String {
        let tag = hmac::sign(&self.0, &message(number, address));
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend_from_slice(tag.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The number of a ticket that is ours and that `address` was given.
    pub(super) fn open(&self, text: &str, address: IpAddr) -> Option<u64> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (number, tag) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
        let number = u64::from_be_bytes(*number);
        hmac::verify(&self.0, &message(number, address), tag).ok()?;
        Some(number)
    }
}

fn message(number: u64, address: IpAddr) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    match address.to_canonical() {
        IpAddr::V4(address) => message.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => message.extend_from_slice(&address.octets()),
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_owner_alone() {
        let key = Key::random();
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let ticket = key.sign(812, own);
        assert_eq!(ticket.len(), 54);
        assert_eq!(key.open(&ticket, own), Some(812));
        assert_eq!(
            key.open(&ticket, "::ffff:192.0.2.1".parse().unwrap()),
            Some(812)
        );
        assert_eq!(key.open(&ticket, "192.0.2.2".parse().unwrap()), None);
        assert_eq!(Key::random().open(&ticket, own), None);
        let forged = BASE64_URL_SAFE_NO_PAD.encode(1_u64.to_be_bytes());
        let (_, cut) = ticket.split_at(1);
        for text in ["", "x", &forged, cut, &"A".repeat(10_000)] {
            assert_eq!(key.open(text, own), None, "{text}");
        }
    }
}
