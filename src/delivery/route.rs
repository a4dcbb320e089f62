//! The one table of paths: a path in, what it names out. Parsing borrows and allocates nothing, so
//! a million random paths leave no trace.

use crate::media::broadcast::{EPOCH_BYTES_MAX, ROOM_NAME_BYTES_MAX};
use crate::media::group::Id;
use crate::media::track::TRACK_NAME_BYTES_MAX;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/`: the front page.
    Home,
    /// `/rooms`: the live rooms as JSON.
    Rooms,
    /// `/watch/ROOM`: the player page.
    Watch,
    /// `/assets/NAME` and the few files beside the pages.
    Asset(&'a str),
    /// `/live/ROOM/index.m3u8`: the multivariant playlist.
    Index { room: &'a str },
    /// `/live/ROOM.flv`: HTTP-FLV.
    Flv { room: &'a str },
    /// `/live/ROOM/EPOCH/RENDITION/OBJECT`.
    Hls {
        room: &'a str,
        epoch: &'a str,
        rendition: &'a str,
        object: Object,
    },
}

/// One of the objects of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    /// `media.m3u8`.
    Playlist,
    /// `plain.m3u8`: the same without parts.
    PlainPlaylist,
    /// `init-N.mp4`.
    Init(u32),
    /// `MSN.m4s`.
    Segment(Id),
    /// `MSN.PART.m4s`.
    Part(Id, u32),
}

impl<'a> Route<'a> {
    /// What `path` names, without looking whether it is there. `None`: nothing could ever be there.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if let Some(rest) = path.strip_prefix("live/") {
            return Self::live(rest);
        }
        match path.split_once('/') {
            None if path.is_empty() => Some(Self::Home),
            None if path == "rooms" => Some(Self::Rooms),
            None | Some(("assets", _)) => Some(Self::Asset(path)),
            Some(("watch", room)) if is_name(room, ROOM_NAME_BYTES_MAX) => Some(Self::Watch),
            Some(_) => None,
        }
    }

    fn live(rest: &'a str) -> Option<Self> {
        let mut steps = rest.split('/');
        let room = steps.next()?;
        let Some(second) = steps.next() else {
            let room = room.strip_suffix(".flv")?;
            return is_name(room, ROOM_NAME_BYTES_MAX).then_some(Self::Flv { room });
        };
        if !is_name(room, ROOM_NAME_BYTES_MAX) {
            return None;
        }
        let Some(rendition) = steps.next() else {
            return (second == "index.m3u8").then_some(Self::Index { room });
        };
        let object = Object::parse(steps.next()?)?;
        let fits = steps.next().is_none()
            && is_name(second, EPOCH_BYTES_MAX)
            && is_name(rendition, TRACK_NAME_BYTES_MAX);
        fits.then_some(Self::Hls {
            room,
            epoch: second,
            rendition,
            object,
        })
    }
}

impl Object {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "media.m3u8" => return Some(Self::Playlist),
            "plain.m3u8" => return Some(Self::PlainPlaylist),
            _ => {}
        }
        if let Some(init) = name.strip_prefix("init-") {
            let number = number(init.strip_suffix(".mp4")?)?;
            return Some(Self::Init(u32::try_from(number).ok()?));
        }
        let stem = name.strip_suffix(".m4s")?;
        match stem.split_once('.') {
            None => Some(Self::Segment(Id(number(stem)?))),
            Some((segment, part)) => {
                let part = u32::try_from(number(part)?).ok()?;
                Some(Self::Part(Id(number(segment)?), part))
            }
        }
    }
}

/// A number as we write it: no sign, no leading zero, so that an object has one path only.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    canonical.then(|| text.parse().ok()).flatten()
}

fn is_name(text: &str, bytes_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= bytes_max && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_object_has_one_path(path in "/live/[a-z./]{0,6}/[a-z%/]{0,4}/[a-z/]{1,4}/(\
            media.m3u8|plain.m3u8|\
            init-[0-9+]{0,11}.mp4|[0-9+.]{0,21}.m4s|[0-9]{1,3}.[0-9]{1,3}.m4s|[ -~]{0,12})") {
            if let Some(Route::Hls { room, epoch, rendition, object }) = Route::parse(&path) {
                let name = match object {
                    Object::Playlist => "media.m3u8".to_owned(),
                    Object::PlainPlaylist => "plain.m3u8".to_owned(),
                    Object::Init(number) => format!("init-{number}.mp4"),
                    Object::Segment(msn) => format!("{msn}.m4s"),
                    Object::Part(msn, part) => format!("{msn}.{part}.m4s"),
                };
                prop_assert_eq!(&path, &format!("/live/{room}/{epoch}/{rendition}/{name}"));
            }
        }

        #[test]
        fn no_path_panics(path in any::<String>()) {
            for path in [format!("/live/{path}"), format!("/watch/{path}"), path] {
                let _none_or_some = Route::parse(&path);
            }
        }
    }

    fn hls(object: Object) -> Option<Route<'static>> {
        Some(Route::Hls {
            room: "r",
            epoch: "e1",
            rendition: "720p",
            object,
        })
    }

    #[test]
    fn each_path_of_the_interface_has_a_route() {
        let table = [
            ("/", Some(Route::Home)),
            ("/rooms", Some(Route::Rooms)),
            ("/watch/r", Some(Route::Watch)),
            ("/assets/a-1.js", Some(Route::Asset("assets/a-1.js"))),
            ("/favicon.svg", Some(Route::Asset("favicon.svg"))),
            ("/live/r/index.m3u8", Some(Route::Index { room: "r" })),
            ("/live/r.flv", Some(Route::Flv { room: "r" })),
            ("/live/r/e1/720p/media.m3u8", hls(Object::Playlist)),
            ("/live/r/e1/720p/init-3.mp4", hls(Object::Init(3))),
            ("/live/r/e1/720p/12.m4s", hls(Object::Segment(Id(12)))),
            ("/live/r/e1/720p/12.4.m4s", hls(Object::Part(Id(12), 4))),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }

    #[test]
    fn other_paths_have_none() {
        let long = format!("/live/{}/index.m3u8", "r".repeat(65));
        for path in [
            "",
            "live",
            "/live/",
            "/live/r",
            "/live/.flv",
            "/live//index.m3u8",
            "/live/r/index.m3u8/",
            "/live/r/e1/720p",
            "/live/r/e1/720p/",
            "/live/r/e1/720p/012.m4s",
            "/live/r/e1/720p/+1.m4s",
            "/live/r/e1/720p/1.2.3.m4s",
            "/live/r/e1/720p/99999999999999999999.m4s",
            "/live/r/e1/720p/init-4294967296.mp4",
            "/live/r/e1/720p/1.m4s/x",
            "/live/r/e%31/720p/1.m4s",
            "/live/../index.m3u8",
            "/watch/",
            "/watch/a/b",
            &long,
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }
}
