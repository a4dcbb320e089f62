//! Fetches of groups that are older than the live window.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::live::{FetchError, Upstream};
use crate::media::frame::FRAME_BYTES_MAX;
use crate::media::group::Id;
use crate::media::{Group, RoomName};
use crate::relay::error::{Error, FETCH_NOT_FOUND};
use crate::relay::pull::link::Link;
use crate::relay::pull::streams::{Items, stamp};
use crate::relay::pull::way::Way;
use crate::relay::wire::control::{Fetch, Message};
use crate::relay::wire::stream::Item;

/// How long a fetch may take, from the wait for a parent to the last byte.
const FETCH: Duration = Duration::from_secs(10);

/// How long a fetch whose link was lost waits for another one.
const NEXT_LINK: Duration = Duration::from_secs(1);

/// The most bytes of one fetched group: 4 s at 64 Mbit/s.
const GROUP_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// Fetches over the link that the room comes over; once more over another one when that is lost.
#[derive(Debug, Clone)]
pub(super) struct Fetcher(pub(super) Way);

impl Upstream for Fetcher {
    fn fetch(
        &self,
        room: RoomName,
        epoch: Arc<str>,
        track: Arc<str>,
        group: Id,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Group>, FetchError>> + Send>> {
        let fetch = Fetch {
            room,
            epoch,
            track,
            group,
        };
        let way = self.0.clone();
        Box::pin(async move {
            let fetched = async {
                let link = way.other(&fetch.room, None).await;
                match self::fetch(&link, fetch.clone()).await {
                    Err(FetchError::Unreachable(_)) => {
                        let other = way.other(&fetch.room, Some(&link));
                        match tokio::time::timeout(NEXT_LINK, other).await {
                            Ok(link) => self::fetch(&link, fetch).await,
                            Err(_) => Err(FetchError::Unreachable("the parent was lost".into())),
                        }
                    }
                    result => result,
                }
            };
            match tokio::time::timeout(FETCH, fetched).await {
                Ok(result) => result,
                Err(_) => Err(FetchError::Unreachable("no answer in time".into())),
            }
        })
    }
}

async fn fetch(link: &Link, fetch: Fetch) -> Result<Arc<Group>, FetchError> {
    let id = fetch.group;
    let unreachable = |error: Error| FetchError::Unreachable(error.to_string());
    let opened = link.connection.open_bi().await;
    let (mut send, receive) = opened.map_err(|error| unreachable(error.into()))?;
    let request = Message::Fetch(fetch).encode();
    let written = send.write_chunk(request).await;
    written.map_err(|error| unreachable(error.into()))?;
    let _ended_by_the_parent = send.finish().is_err();
    let mut items = Items::new(receive);
    match read(link, &mut items).await {
        Ok(group) if group.head.id == id => {
            link.metrics.fetched_groups.inc();
            Ok(Arc::new(group))
        }
        Ok(_) => Err(unreachable(Error::Protocol("another group than asked for"))),
        Err(Error::StreamDropped(code)) if code == FETCH_NOT_FOUND.into_inner() => {
            Err(FetchError::NotFound(id))
        }
        Err(error) => Err(unreachable(error)),
    }
}

async fn read(link: &Link, items: &mut Items) -> Result<Group, Error> {
    let head = Arc::new(items.header(link).await?.head);
    let mut frames = Vec::new();
    let mut bytes = 0;
    while let Some(item) = items.next(link).await? {
        let Item::Frame(sent) = item else {
            return Err(Error::Protocol("a fetched group that is not complete"));
        };
        bytes += sent.frame.payload.len() + size_of::<crate::media::Frame>();
        if bytes > GROUP_BYTES_MAX {
            return Err(Error::Protocol("a fetched group that is too large"));
        }
        frames.push(Arc::new(stamp(sent, link)));
    }
    Ok(Group { head, frames })
}
