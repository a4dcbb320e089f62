//! Audit records on their way to the origin.

use std::collections::HashMap;

use crate::media::RoomName;
use crate::protocol::interact::question::Audit;

/// Records that wait to be taken: ten seconds of 1,000 comments.
const RECORDS_MAX: usize = 10_000;
/// The longest text that is kept, in characters.
const TEXT_CHARACTERS_MAX: usize = 500;

/// Records by room, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    rooms: HashMap<RoomName, Vec<Audit>>,
    records: usize,
}

impl Journal {
    /// Keeps a record; false when there are too many.
    pub(super) fn keep(&mut self, room: &RoomName, mut record: Audit) -> bool {
        if self.records >= RECORDS_MAX {
            return false;
        }
        if let Some((end, _)) = record.text.char_indices().nth(TEXT_CHARACTERS_MAX) {
            record.text.truncate(end);
        }
        self.records += 1;
        self.rooms.entry(room.clone()).or_default().push(record);
        true
    }

    /// Takes all.
    pub(super) fn take(&mut self) -> Vec<(RoomName, Vec<Audit>)> {
        self.records = 0;
        self.rooms.drain().collect()
    }
}
