//! What hosts send: an FLV file in memory, played in a loop.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::flv::{Reader, Tag};

/// A clip in memory.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Metadata and decoder configurations, sent once.
    pub head: Vec<Tag>,
    /// What is sent in a loop, from 0 ms.
    pub frames: Vec<Tag>,
    /// How long the loop is, in milliseconds.
    pub length_ms: u32,
}

impl Clip {
    /// Reads the file at `path`. Errors: it is no FLV with H.264 pictures.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
        Self::parse(&bytes).with_context(|| format!("{shown}"))
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let (mut reader, mut head, mut frames) = (Reader::default(), Vec::new(), Vec::new());
        reader.feed(bytes);
        while let Some(tag) = reader.next_tag()? {
            if tag.kind == 18 || tag.is_config() {
                head.push(tag);
            } else if tag.kind == 8 || tag.is_picture() {
                frames.push(tag);
            }
        }
        let pictures: Vec<u32> = frames
            .iter()
            .filter(|t| t.is_picture())
            .map(|t| t.at_ms)
            .collect();
        ensure!(pictures.len() > 1, "there are no pictures of H.264");
        let (first, last) = (pictures[0], pictures[pictures.len() - 1]);
        let key = frames.iter().find(|tag| tag.is_picture());
        ensure!(
            key.is_some_and(Tag::is_key),
            "the first picture is no key frame"
        );
        // One picture's time after the last one, rounded as the file rounds.
        let count = u32::try_from(pictures.len() - 1)?;
        let length_ms = (last - first) + (last - first + count / 2) / count;
        ensure!(length_ms > 0, "all pictures have one time");
        let frames = frames
            .into_iter()
            .filter(|tag| (first..first + length_ms).contains(&tag.at_ms))
            .map(|tag| Tag {
                at_ms: tag.at_ms - first,
                ..tag
            })
            .collect();
        Ok(Self {
            head,
            frames,
            length_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo_clip_is_a_loop_without_a_seam() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/media/demo.flv");
        let clip = Clip::read(&path).unwrap();
        let pictures = clip.frames.iter().filter(|tag| tag.is_picture()).count();
        let per_second = pictures as f64 * 1000.0 / f64::from(clip.length_ms);
        assert!(
            (29.9..30.1).contains(&per_second),
            "{per_second} pictures a second"
        );
        assert!(Clip::parse(b"RIFF, this is something else").is_err());
    }
}
