//! LL-HLS for viewers: playlists, parts and segments, at once or when they are there.
//!
//! A shelf is the playlist state of one track, shared by all workers: one task feeds it, and one
//! text is rendered for each state of it. A worker parks requests that must wait, and is woken once
//! for each change of a shelf, however many it has parked (D3). What the playlist has forgotten
//! comes through [`crate::cache`]. Knows no media: `packaging` decides every answer.
//!
//! Invariants: a held request is answered with what it waits for, or with 503 before any player
//! gives up, never with an unchanged playlist (R1.4); no byte leaves before all are there (R1.5).

mod answers;
mod editions;
mod index;
mod program;
mod shelf;
mod shelves;
mod steps;
mod waiting;

pub(super) use answers::{Answers, Ask, Source, no_room};
pub(super) use shelves::Shelves;
