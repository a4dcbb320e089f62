//! The classes of questions, and what both ends grant each of them. A class has a stream, permits
//! and a priority of its own, so that none waits for another.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::media::Class;
use crate::relay::Error;

/// All classes; a table of one entry for each is indexed by [`index`].
pub(super) const CLASSES: [Class; 5] = [
    Class::Order,
    Class::Program,
    Class::Personal,
    Class::Comment,
    Class::Total,
];

pub(super) fn index(class: Class) -> usize {
    usize::from(u8::from(class))
}

/// Questions of a class that may be under way on one link. Orders: two seconds of 2,000 a second;
/// the others are worth less than the memory for more of them.
pub(super) fn in_flight_max(class: Class) -> usize {
    match class {
        Class::Order => 4096,
        _ => 1024,
    }
}

/// How long an answer may take. An order outlives the loss of a parent: 3 s until it is noticed,
/// and the dial of the next one.
pub(super) fn patience(class: Class) -> Duration {
    match class {
        Class::Order => Duration::from_secs(10),
        _ => Duration::from_secs(5),
    }
}

/// Records that are written at once.
const BATCH: usize = 64;

/// Writes what is put into the queue until that closes; what `encode` makes nothing of is left out.
pub(super) async fn write<T>(
    stream: &mut quinn::SendStream,
    queue: &mut mpsc::Receiver<T>,
    encode: impl Fn(T) -> Option<[Bytes; 2]>,
) -> Result<(), Error> {
    let mut records = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut records, BATCH).await > 0 {
        let mut chunks: Vec<Bytes> = records.drain(..).filter_map(&encode).flatten().collect();
        stream.write_all_chunks(&mut chunks).await?;
    }
    Ok(())
}
