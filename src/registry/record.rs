//! What stands in the bucket.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::media::RoomName;

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is the authority of rooms.
    Origin,
    /// It serves viewers, or further edges.
    Edge,
}

/// A node of the fleet, as it introduces itself. Unknown fields of later versions are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// Where children dial in, as `HOST:PORT`.
    #[serde(default)]
    pub relay: Option<String>,
    /// The URLs that viewers use, by kind: `plain`, `tls`.
    #[serde(default)]
    pub http: BTreeMap<String, String>,
    /// How much it sheds: 0 = nothing.
    #[serde(default)]
    pub level: u8,
}

/// The lease of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    /// The node that has it.
    pub(super) node: Arc<str>,
}

/// What a key of the bucket is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Room(RoomName),
    /// A node, by its name.
    Node(Arc<str>),
}

impl Key {
    /// The key's text. Node names may hold what keys may not, so theirs stand in hexadecimal.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Room(room) => format!("room.{room}"),
            Self::Node(name) => {
                let mut text = String::from("node.");
                for byte in name.bytes() {
                    write!(text, "{byte:02x}").expect("writing into a String cannot fail");
                }
                text
            }
        }
    }

    /// Reads a key; `None`: one of a later version.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(room) = text.strip_prefix("room.") {
            return RoomName::parse(room).ok().map(Self::Room);
        }
        let digits = text.strip_prefix("node.")?.as_bytes();
        let pairs = digits.chunks_exact(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        let name = String::from_utf8(bytes?).ok()?;
        Some(Self::Node(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        for key in [
            Key::Room(RoomName::parse("Show_1-a").unwrap()),
            Key::Node("edge:7/β".into()),
        ] {
            let text = key.text();
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            );
            assert_eq!(Key::read(&text), Some(key));
        }
        assert_eq!(Key::read("later.thing"), None);
        assert_eq!(Key::read("node.zz"), None);
    }

    #[test]
    fn nodes_of_later_versions_are_understood() {
        let text = r#"{"name":"edge-1","role":"edge","later":[1]}"#;
        let node: Node = serde_json::from_str(text).unwrap();
        assert_eq!(
            (&*node.name, node.role, node.level),
            ("edge-1", Role::Edge, 0)
        );
    }
}
