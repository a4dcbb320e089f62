//! What is due, whose, and in which state: an index of the stream of orders, in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::ledger::order::{Depth, Filter, Id, LIST_MAX, Order, Revision, State};
use crate::media::RoomName;

/// The most orders in the index. Beyond it the longest decided ones are left out: they are still
/// found by key, but not listed. Some 60 MB.
pub(super) const ORDERS_MAX: usize = 200_000;

/// The index. Orders of one revision or a later one replace each other in any order.
#[derive(Debug, Default)]
pub(super) struct Index {
    orders: HashMap<Id, Line>,
    due: BTreeSet<(i64, Id)>,
    /// None sorts before every id.
    states: BTreeSet<(State, i64, Option<Id>)>,
    buyers: BTreeSet<(RoomName, Arc<str>, i64, Arc<str>)>,
    depth: Depth,
}

/// What the index knows of an order.
#[derive(Debug)]
struct Line {
    revision: Revision,
    state: State,
    changed: i64,
    due: Option<i64>,
    buyer: Arc<str>,
    at: i64,
}

impl Index {
    /// `order` stands in the stream as `revision`.
    pub(super) fn insert(&mut self, order: &Order, revision: Revision) {
        let known = self.orders.get(&order.id);
        if known.is_some_and(|line| line.revision >= revision) {
            return;
        }
        self.remove(&order.id);
        let id = order.id.clone();
        self.states
            .insert((order.state, order.changed, Some(id.clone())));
        self.due.extend(order.due.map(|due| (due, id.clone())));
        let buyer = (
            id.room.clone(),
            order.buyer.clone(),
            order.at,
            id.key.clone(),
        );
        self.buyers.insert(buyer);
        self.depth.enter(order.state);
        let line = Line {
            revision,
            state: order.state,
            changed: order.changed,
            due: order.due,
            buyer: order.buyer.clone(),
            at: order.at,
        };
        self.orders.insert(id, line);
        if self.orders.len() > ORDERS_MAX {
            self.leave_out_one();
        }
    }

    /// The order is not in the stream any more.
    pub(super) fn remove(&mut self, id: &Id) {
        let Some(line) = self.orders.remove(id) else {
            return;
        };
        self.states
            .remove(&(line.state, line.changed, Some(id.clone())));
        if let Some(due) = line.due {
            self.due.remove(&(due, id.clone()));
        }
        let buyer = (id.room.clone(), line.buyer, line.at, id.key.clone());
        self.buyers.remove(&buyer);
        self.depth.leave(line.state);
    }

    /// True when no further order could be delivered or listed.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.depth.accepted + self.depth.forwarded + self.depth.unknown;
        waiting >= ORDERS_MAX as u64
    }

    pub(super) fn due(&self, now: i64, max: usize) -> Vec<Id> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now);
        due.take(max).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn by_buyer(&self, room: &RoomName, buyer: &str, max: usize) -> Vec<Id> {
        let bound = |at| (room.clone(), Arc::from(buyer), at, Arc::from(""));
        let orders = self.buyers.range(bound(i64::MIN)..bound(i64::MAX)).rev();
        let id = |(room, _, _, key): &(RoomName, Arc<str>, i64, Arc<str>)| Id {
            room: room.clone(),
            key: key.clone(),
        };
        orders.take(max).map(id).collect()
    }

    pub(super) fn list(&self, filter: &Filter) -> Vec<Id> {
        let max = filter.max.min(LIST_MAX);
        let wanted = |id: &Id| filter.room.as_ref().is_none_or(|room| *room == id.room);
        let mut found = Vec::new();
        for state in State::STORED {
            if filter.state.is_some_and(|wanted| wanted != state) {
                continue;
            }
            let orders = self.of_state(state).rev();
            let orders = orders.filter_map(|(_, changed, id)| Some((*changed, id.clone()?)));
            found.extend(orders.filter(|(_, id)| wanted(id)).take(max));
        }
        found.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
        found.into_iter().take(max).map(|(_, id)| id).collect()
    }

    pub(super) fn depth(&self) -> Depth {
        let oldest = self.of_state(State::Accepted).next();
        Depth {
            oldest: oldest.map(|(_, changed, _)| *changed),
            ..self.depth
        }
    }

    fn of_state(
        &self,
        state: State,
    ) -> impl DoubleEndedIterator<Item = &(State, i64, Option<Id>)> + use<'_> {
        let last = (state, i64::MAX, None);
        self.states.range((state, i64::MIN, None)..last)
    }

    fn leave_out_one(&mut self) {
        let oldest = |state| self.of_state(state).next();
        let oldest = [oldest(State::Confirmed), oldest(State::Rejected)];
        let oldest = oldest
            .into_iter()
            .flatten()
            .min_by_key(|(_, changed, _)| *changed);
        if let Some(id) = oldest.and_then(|(_, _, id)| id.clone()) {
            self.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(key: &str, state: State, changed: i64) -> Order {
        let room = RoomName::parse("sale").expect("a name");
        let id = Id {
            room,
            key: key.into(),
        };
        let mut order = Order::accepted(id, "u_li".into(), 1);
        (order.state, order.changed) = (state, changed);
        order.due = (state == State::Accepted).then_some(changed);
        order
    }

    #[test]
    fn newer_revisions_replace_older_ones_in_whatever_order_they_come() {
        let mut index = Index::default();
        index.insert(&order("a", State::Confirmed, 9), 7);
        index.insert(&order("a", State::Accepted, 1), 3);
        assert_eq!(index.depth(), Depth::default());
        assert!(index.due(100, 10).is_empty());
        assert_eq!(index.list(&Filter::default()).len(), 1);
        index.remove(&order("a", State::Confirmed, 9).id);
        assert!(index.states.is_empty() && index.buyers.is_empty() && index.due.is_empty());
    }

    #[test]
    fn longest_decided_orders_are_left_out() {
        let mut index = Index::default();
        index.insert(&order("a", State::Confirmed, 9), 1);
        index.insert(&order("b", State::Rejected, 8), 2);
        index.insert(&order("c", State::Accepted, 1), 3);
        index.leave_out_one();
        let left = index.list(&Filter::default());
        let keys: Vec<&str> = left.iter().map(|id| &*id.key).collect();
        assert_eq!(keys, ["a", "c"]);
    }
}
