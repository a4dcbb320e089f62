//! Following a rendition as a player does: blocking reload after blocking reload, with the hinted
//! part asked for at the same time.

use std::time::Duration;

use bytes::Bytes;
use http::header;

use super::Error;
use super::client::{Answer, Client, with_directives};
use super::http_rules::{self, Kind};
use super::media_rules::{self, Init};
use super::playlist::{Hint, Playlist};
use super::playlist_rules;
use super::report::Report;
use super::series_rules;
use super::visit::Rendition;
use crate::runtime::clock;

/// The most turns remembered; at the smallest part target that is a minute.
const TURNS_MAX: usize = 400;

/// How often a reload may fail before the rendition is given up.
const FAILURES_MAX: usize = 3;

/// One turn: a blocking reload, and the part that was hinted when it left.
struct Turn {
    asked: (u64, u64),
    reload: Answer,
    playlist: Playlist,
    hinted: Option<(Hint, Answer)>,
}

/// A rendition followed for a while.
pub(super) struct Followed<'a> {
    rendition: &'a Rendition,
    turns: Vec<Turn>,
}

/// Follows `rendition` for `duration`.
pub(super) async fn follow<'a>(
    client: &Client,
    rendition: &'a Rendition,
    duration: Duration,
) -> Result<Followed<'a>, Error> {
    let url = &rendition.url;
    let mut turns: Vec<Turn> = Vec::new();
    let mut current = Playlist::parse(&client.get(url).await?.text());
    let (started, mut failures) = (clock::now(), 0);
    while started.elapsed() < duration && turns.len() < TURNS_MAX && failures < FAILURES_MAX {
        let asked = current.next_position();
        let directives = format!("_HLS_msn={}&_HLS_part={}", asked.0, asked.1);
        let reload_url = with_directives(url, &directives);
        let hint = current.hints.first().filter(|hint| hint.start == 0);
        let hint = hint.and_then(|hint| Some((hint.clone(), url.join(&hint.uri).ok()?)));
        let hinted = async {
            let Some((hint, url)) = hint else {
                return Ok(None);
            };
            Ok::<_, Error>(Some((hint, client.get(&url).await?)))
        };
        let (reload, hinted) = tokio::try_join!(client.get(&reload_url), hinted)?;
        let playlist = Playlist::parse(&reload.text());
        if reload.status == 200 && playlist.position() > current.position() {
            failures = 0;
            current = playlist.clone();
        } else {
            failures += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        turns.push(Turn {
            asked,
            reload,
            playlist,
            hinted,
        });
    }
    Ok(Followed { rendition, turns })
}

impl Followed<'_> {
    /// The newest playlist.
    pub(super) fn last(&self) -> Option<&Playlist> {
        self.turns.last().map(|turn| &turn.playlist)
    }

    /// Judges everything that was seen.
    pub(super) async fn check(&self, client: &Client, report: &mut Report) -> Result<(), Error> {
        let name = self.rendition.name.as_str();
        for turn in &self.turns {
            report.record("R1.3-part-hold", self.named(turn.answered()));
            playlist_rules::check(report, name, &turn.playlist);
            let target = turn.playlist.target_duration;
            let lifetime = http_rules::lifetime(Kind::Blocked, &turn.reload, target);
            report.record("R1.7-cache-blocked", lifetime);
        }
        for pair in self.turns.windows(2) {
            let (before, after) = (&pair[0].playlist, &pair[1].playlist);
            series_rules::check_step(report, name, before, after);
            report.record("R1.4-never-unchanged", self.named(changed(before, after)));
        }
        report.record("R1.2-cadence", self.named(self.cadence()));
        report.record("R1.2-live-latency", self.named(self.latency()));
        self.check_hints(report);
        self.check_media(client, report).await?;
        self.check_segment(client, report).await
    }

    fn named(&self, result: Result<String, String>) -> Result<String, String> {
        result.map_err(|fault| format!("{}: {fault}", self.rendition.name))
    }

    /// A new part within one PART-TARGET (section 6.2.2): the 90th percentile may be half as much
    /// again, for the network's sake, and nothing may take three.
    fn cadence(&self) -> Result<String, String> {
        let target = self.rendition.first.part_target.unwrap_or(1.0);
        let ends: Vec<_> = self
            .turns
            .iter()
            .map(|turn| turn.reload.sent + turn.reload.done_after)
            .collect();
        let mut gaps: Vec<f64> = ends
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect();
        gaps.sort_by(f64::total_cmp);
        let (Some(most), Some(usual)) = (gaps.last(), gaps.get(gaps.len() * 9 / 10)) else {
            return Err("fewer than two parts came".into());
        };
        let told = format!("parts came {usual:.3} s apart (p90), {most:.3} s at most");
        if *usual > 1.5 * target || *most > 3.0 * target {
            return Err(format!("{told}, PART-TARGET is {target}"));
        }
        Ok(told)
    }

    /// The newest part's end by PROGRAM-DATE-TIME against this machine's clock.
    fn latency(&self) -> Result<String, String> {
        let turns = self.turns.iter();
        let mut behind_ms: Vec<i64> = turns
            .filter_map(|turn| Some((turn.reload.done_unix_us - turn.playlist.end_us()?) / 1000))
            .collect();
        behind_ms.sort_unstable();
        let Some(median) = behind_ms.get(behind_ms.len() / 2) else {
            return Err("no date to compare with".into());
        };
        let target = self.rendition.first.target_duration;
        let limit_ms = i64::try_from(3 * target * 1000).unwrap_or(i64::MAX);
        if *median > limit_ms || *median < -1000 {
            return Err(format!(
                "the newest part ends {median} ms ago by its date (or a clock is wrong)"
            ));
        }
        Ok(format!(
            "the newest part ended {median} ms ago, at the median"
        ))
    }

    fn check_hints(&self, report: &mut Report) {
        let mut seen = false;
        for turn in &self.turns {
            let Some((hint, answer)) = &turn.hinted else {
                continue;
            };
            seen = true;
            report.record("R1.5-hint-held", self.named(self.hint(turn, hint, answer)));
            // Bytes trickle when the server sends before the part is whole.
            let spread = answer.done_after - answer.first_byte_after;
            let target = self.rendition.first.part_target.unwrap_or(1.0);
            let early = spread.as_secs_f64() > 0.5 * target;
            report.record(
                "R1.5-no-early-bytes",
                self.named(if early {
                    let spread_ms = spread.as_millis();
                    Err(format!("{} trickled for {spread_ms} ms", hint.uri))
                } else {
                    Ok("hinted parts come in one go".into())
                }),
            );
        }
        if !seen {
            report.skip("R1.5-hint-held", "no hint of a part that is a file");
            report.skip("R1.5-no-early-bytes", "no hint of a part that is a file");
        }
    }

    /// The hinted part was held until it was there, and is the one that the playlist lists next.
    fn hint(&self, turn: &Turn, hint: &Hint, answer: &Answer) -> Result<String, String> {
        let listed = self.turns.iter().any(|later| {
            let mut parts = later.playlist.segments.iter().flat_map(|s| &s.parts);
            parts.any(|part| part.uri == hint.uri)
        });
        if answer.status != 200 {
            return if listed {
                Err(format!("the hinted {} got {}", hint.uri, answer.status))
            } else {
                Ok("an abandoned hint got its error".into())
            };
        }
        let newest = self.turns.last().map(|turn| turn.asked);
        if !listed && newest > Some(turn.asked) {
            return Err(format!("{} was hinted and never listed", hint.uri));
        }
        Ok("hinted parts are held, then come whole".into())
    }

    async fn check_media(&self, client: &Client, report: &mut Report) -> Result<(), Error> {
        let Some(map) = self.last().and_then(|p| p.segments.last()?.map.clone()) else {
            report.skip("R1.7-init", "no EXT-X-MAP: not fragmented MP4");
            return Ok(());
        };
        let Ok(url) = self.rendition.url.join(&map) else {
            return Ok(());
        };
        let answer = client.get(&url).await?;
        let init = http_rules::status(&answer, 200, &map).and_then(|_| Init::parse(&answer.body));
        let told = init
            .as_ref()
            .map(|_| "the initialization can be read".into());
        report.record("R1.7-init", self.named(told.map_err(Clone::clone)));
        let target = self.rendition.first.target_duration;
        http_rules::check_media(report, &answer, target);
        let Ok(init) = init else { return Ok(()) };
        self.check_parts(&init, report);
        Ok(())
    }

    fn check_parts(&self, init: &Init, report: &mut Report) {
        let target = self.rendition.first.target_duration;
        let mut before: Option<((u64, u64), media_rules::Span)> = None;
        for turn in &self.turns {
            let Some((hint, answer)) = &turn.hinted else {
                continue;
            };
            let segment = |msn| turn.playlist.segments.iter().find(|s| s.msn == msn);
            let Some(part) = turn.playlist.part(turn.asked.0, turn.asked.1) else {
                continue;
            };
            if answer.status != 200 || part.uri != hint.uri || part.gap {
                continue;
            }
            http_rules::check_media(report, answer, target);
            let span = match init.span(&answer.body) {
                Ok(span) => span,
                Err(fault) => {
                    let fault = format!("{}: {fault}", part.uri);
                    report.record("R1.2-part-media", self.named(Err(fault)));
                    continue;
                }
            };
            report.record("R1.2-part-media", self.named(init.matches(span, part)));
            let follows = |(msn, index): (u64, u64)| {
                let last = segment(msn).is_some_and(|s| s.parts.len() as u64 == index + 1);
                turn.asked == (msn, index + 1) || last && turn.asked == (msn + 1, 0)
            };
            let whole = segment(turn.asked.0).is_some_and(|s| !s.discontinuity);
            if let Some((_, earlier)) = before.filter(|(at, _)| follows(*at) && whole) {
                let judged = init.continues(earlier, span);
                report.record("R1.2-continuity", self.named(judged));
            }
            before = Some((turn.asked, span));
        }
        report.skip("R1.2-continuity", "no two parts in a row were read");
    }

    /// A segment is its parts, one after the other (section 4.4.4.9).
    async fn check_segment(&self, client: &Client, report: &mut Report) -> Result<(), Error> {
        const ID: &str = "R1.2-parts-are-segment";
        let url = &self.rendition.url;
        let segment = self.last().and_then(|playlist| {
            let complete = playlist.segments.iter().rev().filter(|s| s.uri.is_some());
            let files = |parts: &[super::playlist::Part]| {
                !parts.is_empty() && parts.iter().all(|p| p.range.is_none() && !p.gap)
            };
            complete.into_iter().find(|s| files(&s.parts) && !s.gap)
        });
        let Some(segment) = segment else {
            report.skip(ID, "no complete segment lists parts that are files");
            return Ok(());
        };
        let mut joined = Vec::new();
        for part in &segment.parts {
            if let Ok(url) = url.join(&part.uri) {
                let answer = client.get(&url).await?;
                joined.extend_from_slice(&answer.body);
                self.check_twice(part.uri.as_str(), &answer.body, report);
            }
        }
        let Some(Ok(whole_url)) = segment.uri.as_ref().map(|uri| url.join(uri)) else {
            return Ok(());
        };
        let whole = client.get(&whole_url).await?;
        let told = format!("{} bytes of {} parts", joined.len(), segment.parts.len());
        let length = whole.header(header::CONTENT_LENGTH).to_owned();
        report.record(
            ID,
            self.named(match http_rules::status(&whole, 200, "the segment") {
                Ok(_) if whole.body != joined => Err(format!(
                    "segment {} ({length} bytes) is not {told}",
                    segment.msn
                )),
                Ok(_) => Ok(told),
                Err(fault) => Err(fault),
            }),
        );
        Ok(())
    }

    /// The bytes of a hinted part are those of the listed part.
    fn check_twice(&self, uri: &str, body: &Bytes, report: &mut Report) {
        let mut hinted = self.turns.iter().filter_map(|turn| turn.hinted.as_ref());
        let held = hinted.find(|(hint, answer)| hint.uri == uri && answer.status == 200);
        if let Some((_, answer)) = held {
            report.record(
                "R1.5-hint-equals-part",
                self.named(if answer.body == body {
                    Ok("a part asked for early has the bytes of the listed one".into())
                } else {
                    Err(format!("{uri} has other bytes when asked for early"))
                }),
            );
        }
    }
}

impl Turn {
    fn answered(&self) -> Result<String, String> {
        let (msn, part) = self.asked;
        if self.reload.status != 200 {
            let status = self.reload.status;
            return Err(format!("the reload for {msn}.{part} got {status}"));
        }
        if !self.playlist.reaches(msn, Some(part)) {
            return Err(format!(
                "the reload for {msn}.{part} brought {:?}",
                self.playlist.position()
            ));
        }
        Ok("each reload brought the part it asked for".into())
    }
}

fn changed(before: &Playlist, after: &Playlist) -> Result<String, String> {
    if after.position() > before.position() || after.ended {
        Ok("each blocking reload brought something new".into())
    } else {
        Err(format!(
            "a blocking reload left {:?} as it was",
            before.position()
        ))
    }
}
