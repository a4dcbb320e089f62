//! The multivariant playlist of a broadcast, rendered at most once a second for all who ask.

use std::sync::Arc;
use std::time::Duration;

use super::shelf::Shelf;
use crate::coding::Chunks;
use crate::delivery::negotiate;
use crate::delivery::reply::{self, Text};
use crate::live::broadcast;
use crate::net::http::Response;
use crate::packaging::hls::{Answer, Lifetime, Offer, Rendition, multivariant};
use crate::runtime::clock::{self, Instant};

/// How long it is handed out before its bit rates are looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// A multivariant playlist that was rendered; kept on the shelf of the broadcast's first track.
#[derive(Debug, Clone)]
pub(super) struct Index {
    text: Text,
    offer: Offer,
    /// How many renditions there were.
    renditions: usize,
    since: Instant,
}

/// The reply with all renditions of which something is known, as far as they are offered.
pub(super) fn reply(
    broadcast: &broadcast::Consumer,
    shelves: &[Arc<Shelf>],
    offer: Offer,
    gzip: bool,
) -> Response {
    let known: Vec<_> = shelves
        .iter()
        .filter_map(|shelf| Some((shelf, shelf.known()?)))
        .collect();
    let Some((first, _)) = known.first() else {
        return reply::busy(1, "the show is starting: ask again in a moment");
    };
    let terms = first.terms();
    let lifetime = Lifetime::of(Answer::Multivariant, terms);
    let mut kept = first.index().lock();
    let is_fresh = |index: &&Index| {
        let is_same = (index.offer, index.renditions) == (offer, known.len());
        is_same && clock::now() - index.since < FRESH
    };
    let fresh = kept.iter().find(is_fresh).cloned();
    let index = fresh.unwrap_or_else(|| {
        let renditions: Vec<_> = known
            .iter()
            .map(|(shelf, known)| Rendition {
                name: &shelf.track().info().name,
                config: &known.config,
                independent: known.independent,
                measured: known.bandwidth,
                declared_bps: None,
            })
            .collect();
        let plain = multivariant(terms, &broadcast.info().epoch, &renditions, offer);
        let index = Index {
            text: Text {
                gzip: Chunks::from(negotiate::gzip(&plain)),
                plain: Chunks::from(plain),
            },
            offer,
            renditions: known.len(),
            since: clock::now(),
        };
        kept.retain(|other| other.offer != offer);
        kept.push(index.clone());
        index
    });
    let age = clock::now() - index.since;
    let reply = reply::text(&index.text, reply::PLAYLIST, lifetime, gzip);
    reply::aged(first.teller().playlist(reply, !offer.plain), age)
}
