//! The multivariant playlist of a broadcast, rendered at most once a second for all who ask.

use std::sync::Arc;
use std::time::Duration;

use super::shelf::Shelf;
use crate::coding::Chunks;
use crate::delivery::negotiate;
use crate::delivery::reply::{self, Text};
use crate::live::broadcast;
use crate::net::http::Response;
use crate::packaging::hls::{Answer, Lifetime, Rendition, multivariant};
use crate::runtime::clock::{self, Instant};

/// How long it is handed out before its bit rates are looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// A multivariant playlist that was rendered; kept on the shelf of the broadcast's first track.
#[derive(Debug, Clone)]
pub(super) struct Index {
    text: Text,
    /// How many renditions it names.
    renditions: usize,
    since: Instant,
}

/// The reply with all renditions of which something is known.
pub(super) fn reply(
    broadcast: &broadcast::Consumer,
    shelves: &[Arc<Shelf>],
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
    let fresh = kept
        .clone()
        .filter(|index| index.renditions == known.len() && clock::now() - index.since < FRESH);
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
        let plain = multivariant(terms, &broadcast.info().epoch, &renditions);
        Index {
            text: Text {
                gzip: Chunks::from(negotiate::gzip(&plain)),
                plain: Chunks::from(plain),
            },
            renditions: known.len(),
            since: clock::now(),
        }
    });
    *kept = Some(index.clone());
    let age = clock::now() - index.since;
    reply::text(&index.text, reply::PLAYLIST, lifetime, age, gzip)
}
