//! LL-HLS as hls.js plays it: blocking reloads, each part as soon as a playlist names it, and the
//! next reload under way meanwhile. Where a segment begins, the variant is chosen that the path
//! carries. Audio is followed like video; the screen goes by the video.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Url;
use rushlane::auth::Scope;
use rushlane::probe::multivariant::Multivariant;
use rushlane::probe::playlist::{Part, Playlist, microseconds};

use crate::abr::Throughput;
use crate::actors::Ground;
use crate::actors::screen::Screen;
use crate::fragment;
use crate::scenario::Viewers;
use crate::stamp::Stamp;
use crate::tally::{Count, Measure, Tally};
use crate::web::Connection;

/// A segment and a part of it.
type Place = (u64, u64);

/// Plays the group's room from `edge` until something breaks or the show ends.
pub(super) async fn play(
    ground: &Ground,
    group: &Viewers,
    edge: &Url,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let prefix = ground.signer.prefix(Scope::Play, &group.room);
    let url = edge.join(&format!("{prefix}/live/{}/index.m3u8", group.room))?;
    let mut lists = ground.web.connect(edge, group.http).await?;
    let text = lists.fetch(&url, &ground.tally).await?;
    let text = String::from_utf8_lossy(&text);
    let shown = Multivariant::parse(&text).context("no multivariant playlist")?;
    let variant = shown.variants.first().context("there is no variant")?;
    let audio = shown
        .audio
        .iter()
        .find(|(name, _)| Some(name) == variant.audio.as_ref());
    let audio = audio.and_then(|(_, uri)| uri.as_deref());
    let ladder = shown.variants.iter();
    let ladder = ladder.map(|variant| Ok(url.join(&variant.uri)?));
    let media = lists.another(&ground.web, edge).await?;
    let mut video = Track {
        tally: &ground.tally,
        ladder: ladder.collect::<anyhow::Result<_>>()?,
        bandwidths: shown.variants.iter().map(|v| v.bandwidth).collect(),
        rung: 0,
        throughput: Throughput::default(),
        lists,
        media,
        screen: Some(screen),
    };
    let Some(audio) = audio else {
        return video.follow().await;
    };
    let lists = video.lists.another(&ground.web, edge).await?;
    let media = lists.another(&ground.web, edge).await?;
    let mut audio = Track {
        tally: &ground.tally,
        ladder: vec![url.join(audio)?],
        bandwidths: vec![0],
        rung: 0,
        throughput: Throughput::default(),
        lists,
        media,
        screen: None,
    };
    tokio::try_join!(video.follow(), audio.follow())?;
    Ok(())
}

/// One of some renditions of the same content that is followed.
struct Track<'a> {
    tally: &'a Tally,
    /// Media playlists, best first.
    ladder: Vec<Url>,
    /// What they need, in bit/s.
    bandwidths: Vec<u64>,
    /// The one that is played.
    rung: usize,
    throughput: Throughput,
    lists: Connection,
    media: Connection,
    screen: Option<&'a mut Screen>,
}

/// A part that a playlist names.
struct Named {
    place: Place,
    part: Part,
}

impl Track<'_> {
    async fn follow(&mut self) -> anyhow::Result<()> {
        let mut playlist = self.load(None).await?;
        let mut next = start(&playlist).context("the playlist names no parts")?;
        let mut woken: Option<(Place, i64)> = None;
        loop {
            let parts = parts_from(&playlist, next);
            if let Some(first) = parts.first()
                && first.place.0 > next.0 + 1
            {
                // Fallen behind what is listed, or the server has left something out.
                self.tally.one(Count::PartGaps);
            }
            let awaited = playlist.next_position();
            let url = self.ladder[self.rung].clone();
            let reload = reload(&mut self.lists, &url, awaited, self.tally);
            let fetch = Fetch {
                media: &mut self.media,
                url: &url,
                tally: self.tally,
                screen: &mut self.screen,
                throughput: &mut self.throughput,
                ladder: (&self.bandwidths, self.rung),
            };
            let (reloaded, fetched) = tokio::join!(reload, fetch.parts(&parts, next, woken));
            let better;
            (next, better) = fetched?;
            if let Some(rung) = better {
                self.tally.one(Count::Switches);
                // Another encoder numbers its pictures for itself.
                self.screen.iter_mut().for_each(|screen| screen.joins());
                self.rung = rung;
                (playlist, woken) = (self.load(Some(next)).await?, None);
                continue;
            }
            if playlist.ended {
                return Ok(());
            }
            let (newer, at_us) = reloaded?;
            if newer.position() <= playlist.position() && !newer.ended {
                // hls.js waits half a part before it asks again.
                self.tally.one(Count::Errors);
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            woken = (newer.position() == Some(awaited)).then_some((awaited, at_us));
            playlist = newer;
        }
    }

    /// Gets the playlist of the rung, with `place` in it if one is named, and what decoders begin
    /// with.
    async fn load(&mut self, place: Option<Place>) -> anyhow::Result<Playlist> {
        let url = self.ladder[self.rung].clone();
        let playlist = match place {
            Some(place) => reload(&mut self.lists, &url, place, self.tally).await?.0,
            None => {
                let text = self.lists.fetch(&url, self.tally).await?;
                Playlist::parse(&String::from_utf8_lossy(&text))
            }
        };
        let mut newest_first = playlist.segments.iter().rev();
        let map = newest_first.find_map(|segment| segment.map.as_deref());
        let map = url.join(map.context("the playlist names no EXT-X-MAP")?)?;
        self.media.fetch(&map, self.tally).await?;
        Ok(playlist)
    }
}

async fn reload(
    lists: &mut Connection,
    url: &Url,
    (msn, part): Place,
    tally: &Tally,
) -> anyhow::Result<(Playlist, i64)> {
    let mut url = url.clone();
    url.set_query(Some(&format!("_HLS_msn={msn}&_HLS_part={part}")));
    let text = lists.fetch(&url, tally).await?;
    let at_us = tally.now_us();
    Ok((Playlist::parse(&String::from_utf8_lossy(&text)), at_us))
}

/// What gets parts.
struct Fetch<'a, 'screen> {
    media: &'a mut Connection,
    url: &'a Url,
    tally: &'a Tally,
    screen: &'a mut Option<&'screen mut Screen>,
    throughput: &'a mut Throughput,
    /// What the rungs need, in bit/s, and which of them this is.
    ladder: (&'a [u64], usize),
}

impl Fetch<'_, '_> {
    /// Gets `parts` in order, from `next` on, until there are no more or another rung should go on.
    /// `woken`: which of them the last reload had waited for, and when it came. Says what comes
    /// next, and of which rung, if of another.
    async fn parts(
        self,
        parts: &[Named],
        mut next: Place,
        woken: Option<(Place, i64)>,
    ) -> anyhow::Result<(Place, Option<usize>)> {
        let (tally, (bandwidths, rung)) = (self.tally, self.ladder);
        for named in parts {
            if named.place.0 > next.0 {
                next = named.place;
                let better = self.throughput.choose(bandwidths, rung);
                if named.place.1 == 0 && better != rung {
                    return Ok((next, Some(better)));
                }
            }
            next = (named.place.0, named.place.1 + 1);
            if named.part.gap {
                tally.one(Count::PartGaps);
                continue;
            }
            let answer = self
                .media
                .get(&self.url.join(&named.part.uri)?, tally)
                .await?;
            if answer.status != 200 {
                tally.one(Count::PartGaps);
            }
            ensure!(answer.status == 200, "a part: status {}", answer.status);
            if !fragment::is_whole(&answer.body) {
                tally.one(Count::PartGaps);
            }
            self.throughput
                .note(answer.body.len(), answer.waited, answer.took);
            let now_us = tally.now_us();
            let Some(screen) = self.screen else {
                continue;
            };
            let stamps = Stamp::all(&answer.body);
            if let (Some((place, at_us)), Some(last)) = (woken, stamps.last())
                && place == named.place
            {
                tally.time(Measure::Wake, at_us - last.sent_us);
            }
            screen.arrived(now_us, microseconds(named.part.duration), &stamps);
        }
        Ok((next, None))
    }
}

/// Where a player starts: the newest part that can be decoded by itself and lies at least the hold
/// back before the end.
fn start(playlist: &Playlist) -> Option<Place> {
    let hold_back = playlist.control.part_hold_back.unwrap_or(3.0);
    let parts = parts_from(playlist, (0, 0));
    let mut behind = 0.0;
    for named in parts.iter().rev() {
        behind += named.part.duration;
        if behind >= hold_back && named.part.independent {
            return Some(named.place);
        }
    }
    parts.first().map(|named| named.place)
}

/// What is listed from a place on; older segments have no parts any more and come whole.
fn parts_from(playlist: &Playlist, from: Place) -> Vec<Named> {
    let mut named = Vec::new();
    for segment in &playlist.segments {
        if let (Some(uri), true) = (&segment.uri, segment.parts.is_empty()) {
            let place = (segment.msn, 0);
            if place >= from {
                let part = Part {
                    uri: uri.clone(),
                    duration: segment.duration,
                    independent: true,
                    gap: segment.gap,
                    range: None,
                };
                named.push(Named { place, part });
            }
        }
        for (index, part) in (0_u64..).zip(&segment.parts) {
            let place = (segment.msn, index);
            if place >= from {
                let part = part.clone();
                named.push(Named { place, part });
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playlist() -> Playlist {
        let mut text = String::from(
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
             #EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"init.mp4\"\n",
        );
        for msn in 7..9 {
            for part in 0..4 {
                let independent = if part == 0 { ",INDEPENDENT=YES" } else { "" };
                text +=
                    &format!("#EXT-X-PART:DURATION=0.5,URI=\"{msn}.{part}.m4s\"{independent}\n");
            }
            text += &format!("#EXTINF:2.0,\n{msn}.m4s\n");
        }
        text += "#EXT-X-PART:DURATION=0.5,URI=\"9.0.m4s\",INDEPENDENT=YES\n";
        Playlist::parse(&text)
    }

    #[test]
    fn player_starts_at_a_key_frame_behind_the_hold_back() {
        let playlist = playlist();
        assert_eq!(start(&playlist), Some((8, 0)));
        let places: Vec<Place> = parts_from(&playlist, (8, 2))
            .iter()
            .map(|n| n.place)
            .collect();
        assert_eq!(places, [(8, 2), (8, 3), (9, 0)]);
    }
}
