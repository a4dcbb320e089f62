//! The keys of the tables: plain bytes that sort as the queries need them.
//!
//! Texts end with a zero byte, which no name holds; times and numbers are big-endian.

use crate::ledger::order::{Id, Order, State};
use crate::media::RoomName;

/// Milliseconds since 1970 or a number, as bytes that sort.
pub(super) fn sortable(number: i64) -> [u8; 8] {
    u64::try_from(number).unwrap_or(0).to_be_bytes()
}

/// The number of [`sortable`] at the front of `bytes`, and the rest.
pub(super) fn split_number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let number = i64::try_from(u64::from_be_bytes(*number)).unwrap_or(i64::MAX);
    Some((number, rest))
}

/// `text`, closed.
pub(super) fn closed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// Of the table of orders: room, key.
pub(super) fn order(id: &Id) -> Vec<u8> {
    let mut bytes = closed(id.room.as_str());
    bytes.extend_from_slice(id.key.as_bytes());
    bytes
}

/// Of the outbox: when the order is due, room, key.
pub(super) fn due(due: i64, id: &Id) -> Vec<u8> {
    let mut bytes = sortable(due).to_vec();
    bytes.extend_from_slice(&order(id));
    bytes
}

/// Of the table by state: state, when it changed, room, key.
pub(super) fn state(of: &Order) -> Vec<u8> {
    let mut bytes = vec![state_byte(of.state)];
    bytes.extend_from_slice(&due(of.changed, &of.id));
    bytes
}

/// What entries of `state` begin with.
pub(super) const fn state_byte(state: State) -> u8 {
    match state {
        State::Received => 0,
        State::Accepted => 1,
        State::Forwarded => 2,
        State::Confirmed => 3,
        State::Rejected => 4,
        State::Unknown => 5,
    }
}

/// Of the table by buyer: room, buyer, when the order was taken, key.
pub(super) fn buyer(of: &Order) -> Vec<u8> {
    let mut bytes = buyer_prefix(&of.id.room, &of.buyer);
    bytes.extend_from_slice(&sortable(of.at));
    bytes.extend_from_slice(of.id.key.as_bytes());
    bytes
}

/// What entries of one buyer begin with.
pub(super) fn buyer_prefix(room: &RoomName, buyer: &str) -> Vec<u8> {
    let mut bytes = closed(room.as_str());
    bytes.extend_from_slice(&closed(buyer));
    bytes
}

/// Of the audit trail: room, time, number.
pub(super) fn audit(room: &RoomName, at: i64, number: i64) -> Vec<u8> {
    let mut bytes = closed(room.as_str());
    bytes.extend_from_slice(&sortable(at));
    bytes.extend_from_slice(&sortable(number));
    bytes
}

/// The first key after all that begin with `prefix`, which is not all 255.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_bytes_and_are_read_back() {
        assert!(sortable(9) < sortable(10));
        assert!(sortable(255) < sortable(256));
        assert_eq!(
            split_number(&[&sortable(7)[..], b"x"].concat()),
            Some((7, &b"x"[..]))
        );
        assert_eq!(split_number(&[0; 7]), None);
    }

    #[test]
    fn prefix_ends_before_the_next() {
        assert!(after(b"a\0") > b"a\0zz".to_vec());
        assert!(after(b"a\0") <= b"a\x01".to_vec());
        assert_eq!(after(&[1, 255]), vec![2]);
    }
}
