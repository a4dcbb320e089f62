//! What can be asked of the tables. Blocks its thread while the disk reads.

use std::ops::Range;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable as _};

use super::keys;
use super::tables::{
    AUDIT, BUYERS, Definition, ORDERS, OUTBOX, ROOMS, STATES, changed_of, corrupt, decode, down,
    state_range,
};
use crate::ledger::Error;
use crate::ledger::order::{Depth, Entry, Filter, Id, LIST_MAX, State};
use crate::media::RoomName;
use crate::protocol::interact::question::Audit;

/// The tables as one commit left them.
pub(super) struct Reading(pub(super) ReadTransaction);

/// Which end of a range comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Start,
    End,
}

impl Reading {
    /// One order.
    pub(super) fn order(&self, id: &Id) -> Result<Option<Entry>, Error> {
        self.order_at(&keys::order(id))
    }

    /// At most `max` orders that are due at `now`, the longest due first.
    pub(super) fn due(&self, now: i64, max: usize) -> Result<Vec<Entry>, Error> {
        let end = keys::sortable(now.saturating_add(1));
        let found = self.scan(OUTBOX, &[][..]..&end[..], From::Start, max, |key| {
            keys::split_number(key).map(|(_, order)| order.to_vec())
        })?;
        self.orders(&found)
    }

    /// The newest orders of a buyer, the newest first.
    pub(super) fn by_buyer(
        &self,
        room: &RoomName,
        buyer: &str,
        max: usize,
    ) -> Result<Vec<Entry>, Error> {
        let prefix = keys::buyer_prefix(room, buyer);
        let end = keys::after(&prefix);
        let range = &prefix[..]..&end[..];
        let found = self.scan(BUYERS, range, From::End, max, |key| {
            let (_, order) = keys::split_number(key.get(prefix.len()..)?)?;
            Some([&keys::closed(room.as_str()), order].concat())
        })?;
        self.orders(&found)
    }

    /// Orders of one state or all, the newest change first.
    pub(super) fn list(&self, filter: &Filter) -> Result<Vec<Entry>, Error> {
        let room = filter.room.as_ref().map(|room| keys::closed(room.as_str()));
        let max = filter.max.min(LIST_MAX);
        let mut found = Vec::new();
        for state in State::STORED {
            if filter.state.is_some_and(|wanted| wanted != state) {
                continue;
            }
            let start = [keys::state_byte(state)];
            let end = keys::after(&start);
            let range = &start[..]..&end[..];
            found.extend(self.scan(STATES, range, From::End, max, |key| {
                let (_, order) = keys::split_number(key.get(1..)?)?;
                let wanted = room.as_ref().is_none_or(|room| order.starts_with(room));
                wanted.then(|| order.to_vec())
            })?);
        }
        let mut entries = self.orders(&found)?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.order.changed));
        entries.truncate(max);
        Ok(entries)
    }

    /// The states of all rooms.
    pub(super) fn rooms(&self) -> Result<Vec<(RoomName, Bytes)>, Error> {
        let table = self.0.open_table(ROOMS).map_err(down)?;
        let mut rooms = Vec::new();
        for entry in table.iter().map_err(down)? {
            let (name, state) = entry.map_err(down)?;
            let name = std::str::from_utf8(name.value()).unwrap_or_default();
            match RoomName::parse(name) {
                Ok(name) => rooms.push((name, Bytes::copy_from_slice(state.value()))),
                Err(error) => return Err(Error::Corrupt(error.to_string())),
            }
        }
        Ok(rooms)
    }

    /// Decisions in a room from before `before`, the newest first.
    pub(super) fn audit(
        &self,
        room: &RoomName,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<Audit>, Error> {
        let start = keys::closed(room.as_str());
        let end = before.map_or_else(|| keys::after(&start), |at| keys::audit(room, at, 0));
        let table = self.0.open_table(AUDIT).map_err(down)?;
        let range = table.range(&start[..]..&end[..]).map_err(down)?;
        let mut records = Vec::new();
        for entry in range.rev().take(max.min(LIST_MAX)) {
            let (_, record) = entry.map_err(down)?;
            records.push(serde_json::from_slice(record.value()).map_err(corrupt)?);
        }
        Ok(records)
    }

    /// How many orders wait; counts them.
    pub(super) fn depth(&self) -> Result<Depth, Error> {
        let table = self.0.open_table(STATES).map_err(down)?;
        let count = |state| -> Result<u64, Error> {
            let range = table.range(state_range(state)).map_err(down)?;
            Ok(range.count() as u64)
        };
        let mut oldest = table.range(state_range(State::Accepted)).map_err(down)?;
        let oldest = oldest.next().transpose().map_err(down)?;
        Ok(Depth {
            accepted: count(State::Accepted)?,
            forwarded: count(State::Forwarded)?,
            unknown: count(State::Unknown)?,
            oldest: oldest.and_then(|(key, _)| changed_of(key.value())),
        })
    }

    fn order_at(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let table = self.0.open_table(ORDERS).map_err(down)?;
        let found = table.get(key).map_err(down)?;
        found.map(|value| decode(value.value())).transpose()
    }

    /// The orders of `keys`; an index that names one that is not there is a fault.
    fn orders(&self, keys: &[Vec<u8>]) -> Result<Vec<Entry>, Error> {
        let one = |key: &Vec<u8>| {
            let missing = || Error::Corrupt("an index names an order that is not there".into());
            self.order_at(key)?.ok_or_else(missing)
        };
        keys.iter().map(one).collect()
    }

    /// At most `max` of what `pick` makes of the keys in `range`.
    fn scan(
        &self,
        table: Definition,
        range: Range<&[u8]>,
        from: From,
        max: usize,
        pick: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let table = self.0.open_table(table).map_err(down)?;
        let mut range = table.range(range).map_err(down)?;
        let mut found = Vec::new();
        while found.len() < max {
            let next = match from {
                From::Start => range.next(),
                From::End => range.next_back(),
            };
            let Some(entry) = next else { break };
            let (key, _) = entry.map_err(down)?;
            found.extend(pick(key.value()));
        }
        Ok(found)
    }
}
