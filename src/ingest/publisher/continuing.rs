//! A show that goes on where another node has left it: the same groups, clock and numbers.

use crate::ingest::publisher::cutter::Cutter;
use crate::ingest::publisher::pace::{AudioPace, Times, VideoPace};
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::track::{Cut, Pace, Track};
use crate::live::{broadcast, track};
use crate::media::group::{Head, Id};
use crate::media::track::Kind;
use crate::media::{Frame, VIDEO_TIMESCALE, rescale};

/// Groups that one track of a feed may be ahead of another.
const SKEW_MAX: u64 = 4;

impl Show {
    /// Goes on with the tracks of `broadcast`, of which media came last at `heard_us`.
    pub(super) fn continuing(
        broadcast: broadcast::Producer,
        tracks: Vec<track::Producer>,
        heard_us: i64,
    ) -> Self {
        let mut show = Self::new(broadcast);
        for producer in tracks
            .into_iter()
            .filter(|track| is_media(track.info().kind))
        {
            let timing = show.info().timing;
            let (consumer, info) = (producer.consumer(), producer.info().clone());
            let pace = match info.kind {
                Kind::Video => Pace::Video(VideoPace::default()),
                Kind::Audio | Kind::Data(_) => {
                    Pace::Audio(AudioPace::new(info.timescale, info.timescale))
                }
            };
            let mut track = Track::new(producer, pace, &timing);
            if let (Some(head), Some(last)) = (consumer.newest_head(), consumer.newest_frame()) {
                track.resume(&head, times(&last), heard_us);
                show.join_cut(&head, info.timescale);
            }
            show.tracks.push(track);
        }
        show.interrupted = true;
        show.lead_again();
        show.level();
        show
    }

    /// The newest group of any track is the show's.
    fn join_cut(&mut self, head: &Head, timescale: u32) {
        self.discontinuities = self.discontinuities.max(head.discontinuities);
        if self.cut.is_none_or(|cut| cut.id < head.id) {
            self.cut = Some(cut(head, timescale));
        }
    }

    /// The first track of pictures leads on, or the sound where there are none.
    fn lead_again(&mut self) {
        let of_kind = |kind| {
            let is_it = move |track: &Track| track.is_started() && track.info().kind == kind;
            self.tracks.iter().position(is_it)
        };
        self.leader = of_kind(Kind::Video).or_else(|| of_kind(Kind::Audio));
        if let Some(leader) = self.leader.map(|leader| &self.tracks[leader]) {
            let timing = self.info().timing;
            self.cutter = Cutter::new(&timing, leader.timescale(), leader.group_start);
        }
    }

    /// Tells the tracks that are behind of the groups that others have.
    fn level(&mut self) {
        let Some(newest) = self.cut else { return };
        let newest_of = |track: &Track| track.consumer().newest_head().map(|head| head.id);
        for index in 0..self.tracks.len() {
            let Some(own) = newest_of(&self.tracks[index]) else {
                self.tracks[index].queue(newest);
                continue;
            };
            let first = own.next().0.max(newest.id.0.saturating_sub(SKEW_MAX));
            for id in (first..=newest.id.0).map(Id) {
                let missed = self.group(id).unwrap_or(Cut { id, ..newest });
                self.tracks[index].queue(missed);
            }
        }
    }

    /// A group by the track that has it.
    fn group(&self, id: Id) -> Option<Cut> {
        self.tracks.iter().find_map(|track| {
            let group = track.consumer().group(id)?;
            Some(cut(&group.head, track.timescale()))
        })
    }
}

fn is_media(kind: Kind) -> bool {
    matches!(kind, Kind::Video | Kind::Audio)
}

fn times(frame: &Frame) -> Times {
    Times {
        dts: frame.dts,
        composition: frame.composition,
        duration: frame.duration.into(),
    }
}

/// The show's view of a group of one track.
fn cut(head: &Head, timescale: u32) -> Cut {
    Cut {
        id: head.id,
        start: rescale(head.dts, timescale, VIDEO_TIMESCALE),
        discontinuities: head.discontinuities,
        anchor_us: head.wall_us - rescale(head.dts, timescale, 1_000_000),
    }
}
