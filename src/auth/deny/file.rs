//! An author's list on disk: JSON, replaced as a whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use crate::auth::deny::Entry;

/// The entries in `path`; none when there is no such file.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, String> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| format!("{}: this is no deny list: {error}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Replaces `path`, which holds either list whatever happens meanwhile.
pub(super) fn write(path: &Path, entries: &[Entry]) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(entries).expect("entries have text keys only");
    let beside = path.with_extension("new");
    let replace = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    replace().map_err(|error| format!("{}: {error}", path.display()))
}
