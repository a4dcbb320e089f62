//! The order of a visit: the playlists, the refusals, a while of following, then what needs it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Url;

use super::client::{Answer, Client, shown};
use super::http_rules::{self, Kind};
use super::multivariant::Multivariant;
use super::playlist::Playlist;
use super::report::Report;
use super::{Error, Options, follow, playlist_rules, reload_rules, series_rules};

/// The most renditions looked at; the rest of a long ladder is told as not looked at.
const RENDITIONS_MAX: usize = 8;

/// A media playlist, as first seen.
#[derive(Debug)]
pub(super) struct Rendition {
    /// The last two steps of its path, for details.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// What it said first.
    pub first: Playlist,
}

/// Looks at everything behind `url`.
pub(super) async fn visit(url: &Url, options: &Options) -> Result<Report, Error> {
    let client = Client::new(options)?;
    let mut report = Report::default();
    progress(1, "the playlists");
    let renditions = open(&client, &mut report, url).await?;
    let first = &renditions[0];
    if !first.first.control.can_block_reload || first.first.ended {
        let why = "no blocking reload is offered, or the stream has ended";
        report.skip("R1.3-part-hold", why);
        return Ok(report);
    }
    progress(2, "what must be refused");
    reload_rules::check_refusals(&client, &mut report, first).await?;
    reload_rules::check_unknown(&client, &mut report, first).await?;
    reload_rules::check_present(&client, &mut report, first).await?;
    progress(3, "following the stream");
    let seconds = options
        .duration_seconds
        .clamp(1, super::DURATION_SECONDS_MAX);
    let duration = Duration::from_secs(u64::from(seconds));
    let following = renditions
        .iter()
        .map(|rendition| follow::follow(&client, rendition, duration));
    let followed = try_join_all(following).await?;
    for one in &followed {
        one.check(&client, &mut report).await?;
    }
    for (sibling, other) in renditions.iter().zip(&followed).skip(1) {
        if let (Some(one), Some(other)) = (followed[0].last(), other.last()) {
            let names = (first.name.as_str(), sibling.name.as_str());
            series_rules::check_siblings(&mut report, names, one, other);
        }
    }
    progress(4, "whole segments, delta updates, rendition reports");
    reload_rules::check_msn_hold(&client, &mut report, first).await?;
    reload_rules::check_delta(&client, &mut report, first).await?;
    reload_rules::check_reports(&client, &mut report, &renditions).await?;
    Ok(report)
}

/// Fetches `url` and every media playlist it leads to; at least one comes back.
async fn open(client: &Client, report: &mut Report, url: &Url) -> Result<Vec<Rendition>, Error> {
    let answer = get_playlist(client, url).await?;
    http_rules::check_playlist(report, &answer, url.scheme() == "https");
    let text = answer.text();
    let Some(multivariant) = Multivariant::parse(&text) else {
        let rendition = rendition(url.clone(), &answer, report);
        return Ok(vec![rendition]);
    };
    multivariant.check(report);
    let uris = multivariant.uris();
    if uris.len() > RENDITIONS_MAX {
        let told = format!(
            "{} of {} renditions were looked at",
            RENDITIONS_MAX,
            uris.len()
        );
        report.skip("R1.1-all-renditions", told);
    }
    let mut renditions = Vec::new();
    for uri in uris.into_iter().take(RENDITIONS_MAX) {
        let url = url.join(uri).map_err(|source| Error::Url {
            url: uri.to_owned(),
            source,
        })?;
        let answer = get_playlist(client, &url).await?;
        http_rules::check_playlist(report, &answer, url.scheme() == "https");
        let rendition = rendition(url, &answer, report);
        let (theirs, ours) = (rendition.first.version, multivariant.version);
        report.record(
            "R1.1-same-version",
            if theirs == ours {
                Ok(format!("VERSION {ours} in every playlist"))
            } else {
                let name = &rendition.name;
                Err(format!("{name} has VERSION {theirs}, its parent {ours}"))
            },
        );
        let independent = multivariant.independent_segments || rendition.first.independent_segments;
        report.record(
            "R1.6-independent-segments",
            if independent {
                Ok("each segment is promised to start independently".into())
            } else {
                let name = &rendition.name;
                Err(format!(
                    "neither {name} nor its parent has EXT-X-INDEPENDENT-SEGMENTS"
                ))
            },
        );
        renditions.push(rendition);
    }
    Ok(renditions)
}

fn rendition(url: Url, answer: &Answer, report: &mut Report) -> Rendition {
    let mut steps: Vec<&str> = url.path().rsplit('/').take(2).collect();
    steps.reverse();
    let name = steps.join("/");
    let first = Playlist::parse(&answer.text());
    playlist_rules::check(report, &name, &first);
    let lifetime = http_rules::lifetime(Kind::Playlist, answer, first.target_duration);
    report.record("R1.7-cache-playlist", lifetime);
    Rendition { name, url, first }
}

async fn get_playlist(client: &Client, url: &Url) -> Result<Answer, Error> {
    let answer = client.get(url).await?;
    let playlist = answer.status == 200 && answer.body.starts_with(b"#EXTM3U");
    if playlist {
        Ok(answer)
    } else {
        Err(Error::NoPlaylist {
            url: shown(url),
            status: answer.status,
        })
    }
}

/// Says on a terminal what happens: a visit takes longer than people wait in silence.
fn progress(step: u32, what: &str) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        writeln!(terminal, "probe {step}/4: {what}").ok();
    }
}
