//! HTTP-FLV as a player reads it.

use anyhow::bail;
use reqwest::Url;
use rushlane::auth::Scope;

use crate::actors::Ground;
use crate::actors::screen::Screen;
use crate::flv::Reader;
use crate::stamp::Stamp;
use crate::tally::{Count, Measure};
use crate::web::Http;

/// Where a picture's stamp ends, at most.
const WITHIN_BYTES: usize = 256;
/// What one picture may take on the screen: beyond it, pictures were left out and none stands in.
const PICTURE_MS_MAX: u32 = 1000;
/// The pictures of the first second are the burst that a viewer is given to start with: older than
/// what the network takes.
const BURST_US: i64 = 1_000_000;

/// Plays `room` from `edge` until the connection ends.
pub(super) async fn play(
    ground: &Ground,
    room: &str,
    edge: &Url,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let tally = &ground.tally;
    let path = format!(
        "{}/live/{room}.flv",
        ground.signer.prefix(Scope::Play, room)
    );
    let url = edge.join(&path)?;
    let mut connection = ground.web.connect(edge, Http::One).await?;
    let response = connection.open(&url, tally).await?;
    if response.status() != 200 {
        bail!("status {}", response.status());
    }
    let (mut body, mut reader, joined_us) =
        (response.into_body(), Reader::default(), tally.now_us());
    let mut last_ms = None;
    while let Some(data) = body.next().await? {
        let now_us = tally.now_us();
        tally.add(Count::Bytes, i64::try_from(data.len())?);
        reader.feed(&data);
        while let Some(tag) = reader.next_tag()? {
            if !tag.is_picture() {
                continue;
            }
            let head = tag.body.get(..WITHIN_BYTES).unwrap_or(&tag.body);
            let stamp = Stamp::find(head);
            if let Some(stamp) = stamp.filter(|_| now_us - joined_us > BURST_US) {
                tally.time(Measure::Frame, now_us - stamp.sent_us);
            }
            // How long a picture stands is known with the next one; pictures come evenly.
            let last = last_ms.replace(tag.at_ms).unwrap_or(tag.at_ms);
            let duration_ms = tag.at_ms.saturating_sub(last).min(PICTURE_MS_MAX);
            screen.arrived(now_us, i64::from(duration_ms) * 1000, stamp.as_slice());
        }
    }
    bail!("the stream ended")
}
