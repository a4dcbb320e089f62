//! The paths below `/rooms/ROOM/`, and what their queries say.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;

use crate::coding::form;
use crate::media::RoomName;
use crate::media::broadcast::EPOCH_BYTES_MAX;
use crate::protocol::interact::command::is_order_key;
use crate::rooms::doors::batch::Position;

/// The most orders that somebody may ask for when he comes in.
const ORDERS_MAX: usize = 16;

/// A path of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) room: RoomName,
    pub(super) door: Door<'a>,
}

/// A door of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door<'a> {
    /// `ws`: a WebSocket.
    WebSocket,
    /// `wt`: a WebTransport session.
    WebTransport,
    /// `events`: server-sent events.
    Events,
    /// `snapshot`.
    Snapshot,
    /// `comments`: post one.
    Comments,
    /// `likes`: post a batch.
    Likes,
    /// `orders`: post one.
    Orders,
    /// `orders/KEY`: its state.
    Order(&'a str),
}

/// What all paths of rooms begin with.
const ROOMS: &str = "/rooms/";

/// True for every path below `/rooms/`, whether or not something is there.
pub(super) fn is_below_rooms(path: &str) -> bool {
    path.starts_with(ROOMS)
}

impl<'a> Route<'a> {
    /// What `path` names; `None`: nothing could be there.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let (room, door) = path.strip_prefix(ROOMS)?.split_once('/')?;
        let door = match door {
            "ws" => Door::WebSocket,
            "wt" => Door::WebTransport,
            "events" => Door::Events,
            "snapshot" => Door::Snapshot,
            "comments" => Door::Comments,
            "likes" => Door::Likes,
            "orders" => Door::Orders,
            _ => {
                let key = door.strip_prefix("orders/")?;
                Door::Order(Some(key).filter(|key| is_order_key(key))?)
            }
        };
        let room = RoomName::parse(room).ok()?;
        Some(Self { room, door })
    }
}

impl Door<'_> {
    /// The methods it takes, for `Allow`.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Comments | Self::Likes | Self::Orders => "POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// True when something is posted to it.
    pub(super) fn is_posted(self) -> bool {
        matches!(self, Self::Comments | Self::Likes | Self::Orders)
    }
}

/// What the query and the header fields of a request say.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    pub(super) token: Option<Cow<'a, str>>,
    pub(super) user: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    /// The mark of a load test.
    pub(super) load: Option<Cow<'a, str>>,
    /// `format=cbor`: events in binary frames.
    pub(super) cbor: bool,
    pub(super) from: Option<Position>,
    pub(super) orders: Vec<Arc<str>>,
}

impl<'a> Query<'a> {
    /// Reads `query`, which strangers write: what makes no sense is as if it were not there.
    pub(super) fn parse(query: &'a str, headers: &'a HeaderMap) -> Self {
        let mut said = Self::default();
        let (mut epoch, mut seq) = (None, [None, None]);
        for (key, value) in pairs(query) {
            match key {
                "token" => said.token = Some(value),
                "user" => said.user = Some(value),
                "name" => said.name = Some(value),
                "load" => said.load = Some(value),
                "format" => said.cbor = value == "cbor",
                "epoch" => epoch = Some(value),
                "c0" => seq[0] = value.parse().ok(),
                "c1" => seq[1] = value.parse().ok(),
                "orders" => {
                    let keys = value.split(',').filter(|key| is_order_key(key));
                    said.orders = keys.take(ORDERS_MAX).map(Arc::from).collect();
                }
                _ => {}
            }
        }
        if let (Some(epoch), [Some(c0), Some(c1)]) = (epoch, seq) {
            said.from = position(&epoch, c0, c1);
        }
        let field = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(token) = field("authorization").and_then(|text| text.strip_prefix("Bearer ")) {
            said.token = Some(token.trim().into());
        }
        if let Some(mark) = field("rushlane-load") {
            said.load = Some(mark.into());
        }
        if let Some(id) = field("last-event-id") {
            said.from = last_event(id).or(said.from);
        }
        said
    }
}

/// `EPOCH.C0.C1`, as the ids of server-sent events are written.
fn last_event(id: &str) -> Option<Position> {
    let mut parts = id.split('.');
    let (epoch, c0, c1) = (parts.next()?, parts.next()?, parts.next()?);
    position(epoch, c0.parse().ok()?, c1.parse().ok()?).filter(|_| parts.next().is_none())
}

fn position(epoch: &str, c0: u64, c1: u64) -> Option<Position> {
    let fits = !epoch.is_empty() && epoch.len() <= EPOCH_BYTES_MAX;
    fits.then(|| Position {
        epoch: epoch.into(),
        seq: [c0, c1],
    })
}

/// The fields of a query; a value that is no text is left out.
fn pairs(query: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    query.split('&').filter_map(|field| {
        let (key, value) = field.split_once('=')?;
        Some((key, form::unescape(value)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_of_the_interface_has_a_door() {
        let table = [
            ("ws", Door::WebSocket),
            ("wt", Door::WebTransport),
            ("events", Door::Events),
            ("snapshot", Door::Snapshot),
            ("comments", Door::Comments),
            ("likes", Door::Likes),
            ("orders", Door::Orders),
            ("orders/01JD-abc_9", Door::Order("01JD-abc_9")),
        ];
        for (path, door) in table {
            let path = format!("/rooms/r/{path}");
            assert_eq!(Route::parse(&path).expect("a door").door, door);
        }
        for path in [
            "/rooms/r",
            "/rooms/r/",
            "/rooms//ws",
            "/rooms/r/ws/",
            "/rooms/r%20/ws",
            "/rooms/r/orders/short",
            "/rooms/r/orders/a/b-long-key",
            "/live/r/ws",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    #[test]
    fn rooms_are_told_from_media_and_pages() {
        for path in ["/rooms/a/ws", "/rooms/a"] {
            assert!(is_below_rooms(path), "{path}");
        }
        for path in ["", "/", "/rooms", "/live/rooms/a", "rooms/a"] {
            assert!(!is_below_rooms(path), "{path}");
        }
    }

    #[test]
    fn queries_and_fields_are_read() {
        let mut headers = HeaderMap::new();
        let query = "user=u%5F1&name=%E6%9D%8E+Li&epoch=e1&c0=7&c1=2&orders=01JDabcdef,x,..";
        let said = Query::parse(query, &headers);
        assert_eq!(said.user.as_deref(), Some("u_1"));
        assert_eq!(said.name.as_deref(), Some("李 Li"));
        assert_eq!(said.from, position("e1", 7, 2));
        assert_eq!(said.orders, [Arc::from("01JDabcdef")]);
        headers.insert("last-event-id", "e2.9.3".parse().unwrap());
        headers.insert("authorization", "Bearer abc".parse().unwrap());
        let said = Query::parse(query, &headers);
        assert_eq!(said.from, position("e2", 9, 3));
        assert_eq!(said.token.as_deref(), Some("abc"));
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_were_not_there() {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", "e.1.2.3".parse().unwrap());
        let said = Query::parse("user=%zz&name=%FF&epoch=e&c0=-1&c1=2&x&%", &headers);
        assert_eq!((said.user, said.name, said.from), (None, None, None));
    }
}
