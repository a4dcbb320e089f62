//! The editions of a playlist: its text is rendered once for each state of a shelf, and made into a
//! reply once for all who ask for the same.

use bytes::Bytes;

use crate::coding::Chunks;
use crate::delivery::cmsd::Teller;
use crate::delivery::negotiate::gzip;
use crate::delivery::reply::{self, Shared, Text};
use crate::packaging::hls::{Answer, Lifetime, Skip, Terms};

/// Which playlist of a track is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With parts.
    LowLatency,
    /// Whole segments only.
    Plain,
}

/// All of a request that its reply depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    pub(super) form: Form,
    pub(super) skip: Skip,
    pub(super) answer: Answer,
    pub(super) gzip: bool,
}

/// What was printed of one revision, each when somebody asked for it first.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// Of the timeline and of the room's program.
    revision: (u64, u64),
    /// Whole and delta; with parts and plain.
    texts: [Option<Text>; 4],
    /// By what was asked for, and whether the node was under duress then.
    replies: Vec<((Edition, bool), Shared)>,
}

impl Printed {
    /// Forgets what is not of `revision`.
    pub(super) fn renew(&mut self, revision: (u64, u64)) {
        if self.revision != revision {
            *self = Self {
                revision,
                ..Self::default()
            };
        }
    }

    /// The reply with `edition`, of which `render` makes the text.
    pub(super) fn reply(
        &mut self,
        edition: Edition,
        terms: &Terms,
        teller: &Teller,
        render: impl FnOnce() -> Bytes,
    ) -> Shared {
        let of = (edition, teller.is_under_duress());
        if let Some((_, made)) = self.replies.iter().find(|(made, _)| *made == of) {
            return made.clone();
        }
        let Edition { form, skip, .. } = edition;
        let text = &mut self.texts[form as usize * 2 + usize::from(skip != Skip::No)];
        let text = text.get_or_insert_with(|| {
            let plain = render();
            Text {
                gzip: Chunks::from(gzip(&plain)),
                plain: Chunks::from(plain),
            }
        });
        let lifetime = Lifetime::of(edition.answer, terms);
        let reply = reply::text(text, reply::PLAYLIST, lifetime, edition.gzip);
        let reply = teller.playlist(reply, form == Form::LowLatency);
        self.replies.push((of, reply.clone()));
        reply
    }
}
