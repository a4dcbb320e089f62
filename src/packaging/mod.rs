//! Packaging: frames and their cut marks to parts, segments, playlists and FLV tags; a pure function, the same on every node.
#![deny(clippy::disallowed_types)] // pure room
