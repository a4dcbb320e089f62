//! The tables, open for one commit: an order and its indexes change together. Either
//! volume of the book has all of them and fills its own.
//!
//! | table | key | value |
//! |---|---|---|
//! | `orders` | room, key | revision (8 bytes), the order as JSON |
//! | `outbox` | due time, room, key | - |
//! | `states` | state, change time, room, key | - |
//! | `buyers` | room, buyer, time, key | - |
//! | `rooms` | room | the room's state, as its authority wrote it |
//! | `audit` | room, time, number | the decision as JSON |
//! | `room` | - | nothing, but for the moment that proves room on the disk |

use std::ops::Range;

use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};

use super::keys;
use crate::ledger::Error;
use crate::ledger::order::{Depth, Entry, Order, Put, Revision, State};

pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) type Bytewise<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

pub(super) const ORDERS: Definition = Definition::new("orders");
pub(super) const OUTBOX: Definition = Definition::new("outbox");
pub(super) const STATES: Definition = Definition::new("states");
pub(super) const BUYERS: Definition = Definition::new("buyers");
pub(super) const ROOMS: Definition = Definition::new("rooms");
pub(super) const AUDIT: Definition = Definition::new("audit");

/// The most entries that one sweep removes, so that orders never wait long behind it.
const SWEEP_MAX: usize = 2000;

/// All tables of a commit.
pub(super) struct Tables<'txn> {
    orders: Bytewise<'txn>,
    outbox: Bytewise<'txn>,
    states: Bytewise<'txn>,
    buyers: Bytewise<'txn>,
    pub(super) rooms: Bytewise<'txn>,
    pub(super) audit: Bytewise<'txn>,
}

impl<'txn> Tables<'txn> {
    /// Opens them; makes those that are not there.
    pub(super) fn open(write: &'txn WriteTransaction) -> Result<Self, Error> {
        let open = |table| write.open_table(table).map_err(down);
        Ok(Self {
            orders: open(ORDERS)?,
            outbox: open(OUTBOX)?,
            states: open(STATES)?,
            buyers: open(BUYERS)?,
            rooms: open(ROOMS)?,
            audit: open(AUDIT)?,
        })
    }

    /// Puts `order` in place of version `expected`.
    pub(super) fn put(
        &mut self,
        order: &Order,
        expected: Revision,
        depth: &mut Depth,
    ) -> Result<Put, Error> {
        let key = keys::order(&order.id);
        let found = self.get(&key)?;
        let stands = found.as_ref().map_or(0, |entry| entry.revision);
        if stands != expected {
            return Ok(Put::Changed(found.map(Box::new)));
        }
        if let Some(before) = found {
            self.remove_indexes(&before.order)?;
            depth.leave(before.order.state);
        }
        insert(&mut self.states, &keys::state(order), &[])?;
        insert(&mut self.buyers, &keys::buyer(order), &[])?;
        if let Some(due) = order.due {
            insert(&mut self.outbox, &keys::due(due, &order.id), &[])?;
        }
        depth.enter(order.state);
        let revision = expected + 1;
        insert(&mut self.orders, &key, &encode(order, revision))?;
        Ok(Put::Done(revision))
    }

    /// When the order that is accepted for longest was.
    pub(super) fn oldest_accepted(&self) -> Result<Option<i64>, Error> {
        let mut range = self
            .states
            .range(state_range(State::Accepted))
            .map_err(down)?;
        let oldest = range.next().transpose().map_err(down)?;
        Ok(oldest.and_then(|(key, _)| changed_of(key.value())))
    }

    /// Removes orders that were decided before `before`.
    pub(super) fn sweep_orders(&mut self, before: i64) -> Result<(), Error> {
        for state in State::STORED.into_iter().filter(|state| state.is_final()) {
            let start = [keys::state_byte(state)];
            let end = [&start[..], &keys::sortable(before)].concat();
            let mut old = Vec::new();
            let range = self.states.range(&start[..]..&end[..]).map_err(down)?;
            for entry in range.take(SWEEP_MAX) {
                let (key, _) = entry.map_err(down)?;
                old.extend(key.value().get(1 + 8..).map(<[u8]>::to_vec));
            }
            for key in old {
                if let Some(entry) = self.get(&key)? {
                    self.remove_indexes(&entry.order)?;
                    self.orders.remove(&key[..]).map_err(down)?;
                }
            }
        }
        Ok(())
    }

    /// Removes decisions of moderation that were made before `before`.
    pub(super) fn sweep_audit(&mut self, before: i64) -> Result<(), Error> {
        let mut room = Vec::new();
        let mut left = SWEEP_MAX;
        loop {
            let next = self.audit.range(&room[..]..).map_err(down)?.next();
            let Some((key, _)) = next.transpose().map_err(down)? else {
                return Ok(());
            };
            let name = key.value().split(|byte| *byte == 0).next();
            let start = [name.unwrap_or_default(), &[0]].concat();
            drop(key);
            let end = [&start[..], &keys::sortable(before)].concat();
            let old = self
                .audit
                .extract_from_if(&start[..]..&end[..], |_, _| true);
            for entry in old.map_err(down)?.take(left) {
                entry.map_err(down)?;
                left -= 1;
            }
            if left == 0 {
                return Ok(());
            }
            room = keys::after(&start);
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let found = self.orders.get(key).map_err(down)?;
        found.map(|value| decode(value.value())).transpose()
    }

    fn remove_indexes(&mut self, order: &Order) -> Result<(), Error> {
        self.states.remove(&keys::state(order)[..]).map_err(down)?;
        self.buyers.remove(&keys::buyer(order)[..]).map_err(down)?;
        if let Some(due) = order.due {
            let key = keys::due(due, &order.id);
            self.outbox.remove(&key[..]).map_err(down)?;
        }
        Ok(())
    }
}

pub(super) fn insert(table: &mut Bytewise<'_>, key: &[u8], value: &[u8]) -> Result<(), Error> {
    table.insert(key, value).map_err(down)?;
    Ok(())
}

fn encode(order: &Order, revision: Revision) -> Vec<u8> {
    let mut bytes = revision.to_be_bytes().to_vec();
    serde_json::to_writer(&mut bytes, order).expect("an order has text keys only");
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Entry, Error> {
    let (revision, order) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| Error::Corrupt(format!("an order of {} bytes", bytes.len())))?;
    Ok(Entry {
        order: serde_json::from_slice(order).map_err(corrupt)?,
        revision: u64::from_be_bytes(*revision),
    })
}

/// The keys of one state in [`STATES`].
pub(super) fn state_range(state: State) -> Range<&'static [u8]> {
    const BYTES: [[u8; 1]; 7] = [[0], [1], [2], [3], [4], [5], [6]];
    let byte = usize::from(keys::state_byte(state));
    &BYTES[byte]..&BYTES[byte + 1]
}

/// When the order behind a key of [`STATES`] changed.
pub(super) fn changed_of(key: &[u8]) -> Option<i64> {
    keys::split_number(key.get(1..)?).map(|(changed, _)| changed)
}

/// The store failed.
pub(super) fn down(error: impl std::fmt::Display) -> Error {
    Error::Down(error.to_string())
}

/// What the store holds makes no sense.
pub(super) fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}
