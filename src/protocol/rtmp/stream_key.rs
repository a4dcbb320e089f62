//! What a publisher asks for: `ROOM[@rendition][+camera][?token=..&backup=1]` (INTERFACE,
//! "Publish").

use std::fmt;

use crate::media::broadcast::{RoomName, RoomNameError};
use crate::media::track::TRACK_NAME_BYTES_MAX;

/// The only application: the path of `rtmp://HOST/live`.
const APPLICATION: &str = "live";

/// A stream key, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamKey {
    /// The room.
    pub room: RoomName,
    /// A rendition that the host encodes itself, such as `720p`.
    pub rendition: Option<String>,
    /// One of several cameras of the room.
    pub camera: Option<String>,
    /// The name as it was pushed to, with rendition and camera: what vendors' schemes sign.
    pub name: String,
    /// All parameters, joined by `&`: the proof that the host may publish is among them.
    pub query: Secret,
    /// A stand-by publisher.
    pub backup: bool,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a stream key is refused; the text is shown to the encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamKeyError {
    /// Another application than `live`.
    #[error("publish to rtmp://HOST/live with the room as the stream key")]
    Application,
    /// No room name.
    #[error(transparent)]
    Room(#[from] RoomNameError),
    /// A rendition or camera name outside the alphabet of room names, or too long.
    #[error(
        "the name after @ or + must be 1 to {TRACK_NAME_BYTES_MAX} of a-z A-Z 0-9 _ -, given once"
    )]
    Suffix,
}

impl StreamKey {
    /// Reads the `app` of `connect` and the name of `publish`.
    ///
    /// Encoders split `rtmp://HOST/live/ROOM?token=..` at different places, so the room may stand
    /// in either, and the parameters behind either.
    pub(super) fn parse(app: &str, name: &str) -> Result<Self, StreamKeyError> {
        let (app_path, app_query) = split_query(app);
        let (name_path, name_query) = split_query(name);
        let path = match app_path.split_once('/') {
            None if app_path == APPLICATION => name_path.to_owned(),
            Some((APPLICATION, rest)) if name_path.is_empty() => rest.to_owned(),
            Some((APPLICATION, rest)) => format!("{rest}/{name_path}"),
            _ => return Err(StreamKeyError::Application),
        };
        let (room, suffixes) = path.split_at(path.find(['@', '+']).unwrap_or(path.len()));
        let queries = [app_query, name_query].into_iter();
        let queries: Vec<&str> = queries.filter(|query| !query.is_empty()).collect();
        let query = queries.join("&");
        let is_backup = |parameter| matches!(parameter, "backup=1" | "backup=true");
        let mut key = Self {
            room: RoomName::parse(room)?,
            rendition: None,
            camera: None,
            backup: query.split('&').any(is_backup),
            query: Secret(query),
            name: path.clone(),
        };
        key.take_suffixes(suffixes)?;
        Ok(key)
    }

    fn take_suffixes(&mut self, suffixes: &str) -> Result<(), StreamKeyError> {
        let mut rest = suffixes.chars();
        while let Some(kind) = rest.next() {
            let suffix = rest.as_str();
            let end = suffix.find(['@', '+']).unwrap_or(suffix.len());
            let (name, others) = suffix.split_at(end);
            let slot = match kind {
                '@' => &mut self.rendition,
                _ => &mut self.camera,
            };
            let name_is_good = name.len() <= TRACK_NAME_BYTES_MAX && RoomName::parse(name).is_ok();
            if !name_is_good || slot.replace(name.to_owned()).is_some() {
                return Err(StreamKeyError::Suffix);
            }
            rest = others.chars();
        }
        Ok(())
    }
}

/// The application of `connect`, before a name is known.
pub(super) fn check_application(app: &str) -> Result<(), StreamKeyError> {
    let (path, _) = split_query(app);
    match path.split('/').next() {
        Some(APPLICATION) => Ok(()),
        _ => Err(StreamKeyError::Application),
    }
}

/// Path without slashes at its ends, and query.
fn split_query(text: &str) -> (&str, &str) {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    (path.trim_matches('/'), query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(app: &str, name: &str) -> Result<String, StreamKeyError> {
        let key = StreamKey::parse(app, name)?;
        Ok(format!(
            "{} {:?} {:?} {:?} {}",
            key.room,
            key.rendition.unwrap_or_default(),
            key.camera.unwrap_or_default(),
            key.query.expose(),
            key.backup
        ))
    }

    #[test]
    fn keys_are_taken_apart() {
        let check = |app, name, expect: &str| {
            assert_eq!(parse(app, name).as_deref(), Ok(expect), "{app} {name}");
        };
        check("live", "r", r#"r "" "" "" false"#);
        check("live/", "/r/", r#"r "" "" "" false"#);
        check("live/r", "", r#"r "" "" "" false"#);
        check("live", "r@720p", r#"r "720p" "" "" false"#);
        check("live", "r+left@720p", r#"r "720p" "left" "" false"#);
        check(
            "live",
            "r?token=a.b&backup=1",
            r#"r "" "" "token=a.b&backup=1" true"#,
        );
        check("live?token=a", "r", r#"r "" "" "token=a" false"#);
        check(
            "live?token=a",
            "r?token=b",
            r#"r "" "" "token=a&token=b" false"#,
        );
        check("live", "r?x&y=1", r#"r "" "" "x&y=1" false"#);
    }

    #[test]
    fn bad_keys_say_what_is_wrong() {
        let check = |app, name, expect: &str| {
            let error = parse(app, name).unwrap_err().to_string();
            assert!(error.contains(expect), "{app} {name}: {error}");
        };
        check("other", "r", "rtmp://HOST/live");
        check("", "r", "rtmp://HOST/live");
        check("live", "", "empty");
        check("live", "a/b", "'/'");
        check("live/a", "b", "'/'");
        check("live", "r m", "' '");
        check("live", "r@", "after @ or +");
        check("live", "r@@a", "after @ or +");
        check("live", "r@a@b", "after @ or +");
        check("live", "r+ü", "after @ or +");
        check("live", &format!("r@{}", "x".repeat(33)), "after @ or +");
    }

    #[test]
    fn tokens_are_not_shown() {
        let key = StreamKey::parse("live", "r?token=secret").unwrap();
        assert!(!format!("{key:?}").contains("secret"));
    }
}
