//! Answers to fetches: one older group on the stream that asked for it.

use std::sync::Arc;

use bytes::Bytes;

use crate::live::{FetchError, Store};
use crate::media::Group;
use crate::relay::error::{Error, FETCH_NOT_FOUND, FETCH_UNREACHABLE};
use crate::relay::priority;
use crate::relay::serve::child::Child;
use crate::relay::wire::control::Fetch;
use crate::relay::wire::stream::{Encoder, Header};
use crate::runtime::clock;

/// Sends the group, or resets the stream with the reason why not.
pub(super) async fn answer(
    send: &mut quinn::SendStream,
    fetch: &Fetch,
    child: &Child,
    store: &Store,
) -> Result<(), Error> {
    child.metrics.fetches.inc();
    let code = match find(store, fetch).await {
        Ok(group) => {
            let _permit = child.bulk.fetches.acquire().await.ok();
            return write(send, &group).await;
        }
        Err(FetchError::NotFound(_)) => FETCH_NOT_FOUND,
        Err(FetchError::Unreachable(_)) => FETCH_UNREACHABLE,
    };
    let _ended_by_the_child = send.reset(code).is_err();
    Ok(())
}

async fn find(store: &Store, fetch: &Fetch) -> Result<Arc<Group>, FetchError> {
    let broadcast = store
        .room(fetch.room.as_str())
        .filter(|broadcast| broadcast.info().epoch == fetch.epoch)
        .ok_or(FetchError::NotFound(fetch.group))?;
    store.fetch(&broadcast, &fetch.track, fetch.group).await
}

async fn write(send: &mut quinn::SendStream, group: &Group) -> Result<(), Error> {
    let _fresh_streams_are_open = send.set_priority(priority::FETCH).is_err();
    let header = Header {
        subscription: 0,
        first_frame: 0,
        head: (*group.head).clone(),
    };
    let mut encoder = Encoder::new(group.head.dts);
    let mut chunks: Vec<Bytes> = Vec::with_capacity(1 + 2 * group.frames.len());
    chunks.push(header.encode());
    let now_us = clock::unix_us();
    for frame in &group.frames {
        chunks.push(encoder.frame(frame, now_us));
        if !frame.payload.is_empty() {
            chunks.push(frame.payload.clone());
        }
    }
    send.write_all_chunks(&mut chunks).await?;
    let _ended_by_the_child = send.finish().is_err();
    // The permit is held until the bytes have left the send window.
    let _received_or_unwanted = send.stopped().await.is_ok();
    Ok(())
}
