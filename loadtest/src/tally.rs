//! What the actors measure: histograms and counts of each group, second by second and in all.

use std::sync::Arc;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rushlane::runtime::clock;
use serde::{Deserialize, Serialize};

/// Times that are measured, each in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// From the planned arrival to the first picture.
    Start,
    /// From the host's socket to the screen, where the player's buffer is in between.
    Live,
    /// From the host's socket to the viewer's, each picture.
    Frame,
    /// From the last picture of a part at the host's socket to the playlist that names the part.
    Wake,
    /// From the planned comment to another member.
    Comment,
    /// From the planned order to its answer.
    Ack,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::Live,
        Self::Frame,
        Self::Wake,
        Self::Comment,
        Self::Ack,
    ];

    /// As the report says it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Start => "start (planned arrival to first picture)",
            Self::Live => "live delay (host's socket to screen)",
            Self::Frame => "frame delay (host's socket to viewer's)",
            Self::Wake => "playlist wake-up (last picture of the part sent, to its playlist)",
            Self::Comment => "comment (planned to another member)",
            Self::Ack => "order (planned to answer)",
        }
    }
}

/// Things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Viewers and members who are there: goes up and down.
    Present,
    /// Plays that were begun.
    Plays,
    /// Plays without a picture within ten seconds.
    StartsFailed,
    /// Stalls.
    Stalls,
    /// Time that screens stood still, in microseconds.
    StalledUs,
    /// Time since the first picture, in microseconds.
    WatchedUs,
    /// Pictures.
    Pictures,
    /// Pictures that were left out between two that came.
    PicturesLost,
    /// Parts that a playlist named and that were marked as gaps or could not be had.
    PartGaps,
    /// Changes to another variant.
    Switches,
    /// Body bytes received.
    Bytes,
    /// Requests.
    Requests,
    /// Answers that are no success, and connections that broke.
    Errors,
    /// Connections that were made anew because one had broken.
    Reconnects,
    /// Comments said.
    CommentsSaid,
    /// Comments heard.
    CommentsHeard,
    /// Batches of likes sent.
    Likes,
    /// Orders that were planned and sent.
    Orders,
    /// Orders that were answered with 200 or 202.
    OrdersAcked,
    /// Orders that were sent again.
    OrderRetries,
    /// Orders without an answer when the buyer's patience ended.
    OrdersGivenUp,
}

impl Count {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 21] = [
        Self::Present,
        Self::Plays,
        Self::StartsFailed,
        Self::Stalls,
        Self::StalledUs,
        Self::WatchedUs,
        Self::Pictures,
        Self::PicturesLost,
        Self::PartGaps,
        Self::Switches,
        Self::Bytes,
        Self::Requests,
        Self::Errors,
        Self::Reconnects,
        Self::CommentsSaid,
        Self::CommentsHeard,
        Self::Likes,
        Self::Orders,
        Self::OrdersAcked,
        Self::OrderRetries,
        Self::OrdersGivenUp,
    ];
}

/// How many kinds of counts there are.
pub const COUNTS: usize = Count::ALL.len();
/// How many kinds of times there are.
pub const MEASURES: usize = Measure::ALL.len();

/// The longest time that is told apart, in microseconds: an hour.
const TIME_US_MAX: u64 = 3_600_000_000;

/// What no count of one book reaches: beyond the microseconds that 50,000 viewers watch in a day.
const COUNT_MAX: u64 = 1 << 53;

/// Histograms and counts of one stretch of time.
#[derive(Debug, Clone)]
pub struct Book {
    times: [Histogram<u64>; MEASURES],
    counts: [i64; COUNTS],
}

impl Default for Book {
    fn default() -> Self {
        let empty = || Histogram::new(3).expect("three digits are allowed");
        Self {
            times: std::array::from_fn(|_| empty()),
            counts: [0; COUNTS],
        }
    }
}

impl Book {
    /// A histogram, in microseconds.
    #[must_use]
    pub fn times(&self, measure: Measure) -> &Histogram<u64> {
        &self.times[measure as usize]
    }

    /// A count.
    #[must_use]
    pub fn count(&self, count: Count) -> i64 {
        self.counts[count as usize]
    }

    /// `quantile` of a measure, in milliseconds; `None` without samples.
    #[must_use]
    pub fn ms(&self, measure: Measure, quantile: f64) -> Option<f64> {
        let times = self.times(measure);
        (!times.is_empty()).then(|| times.value_at_quantile(quantile) as f64 / 1000.0)
    }

    /// Names and counts of what happened at all, and what a viewer took in kbit/s.
    #[must_use]
    pub fn told(&self) -> Vec<(String, i64)> {
        let all = Count::ALL
            .iter()
            .map(|count| (format!("{count:?}"), self.count(*count)));
        let mut told: Vec<_> = all.filter(|(_, count)| *count != 0).collect();
        let watched_ms = self.count(Count::WatchedUs) / 1000;
        if watched_ms > 0 {
            let kbits = self.count(Count::Bytes).saturating_mul(8) / watched_ms;
            told.push(("KbitsPerSecond".to_owned(), kbits));
        }
        told
    }

    /// Puts `other` on top.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.times.iter_mut().zip(&other.times) {
            own.add(more).expect("histograms that grow hold all values");
        }
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own = own.saturating_add(*more);
        }
    }

    fn clear(&mut self) {
        for times in &mut self.times {
            if !times.is_empty() {
                times.reset();
            }
        }
        self.counts = [0; COUNTS];
    }
}

/// A book as it goes over the wire: what there is of it. Another order of measures or counts is
/// another version of the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// For each of [`Measure::ALL`], values in microseconds and how often they were.
    times: Vec<Vec<(u64, u64)>>,
    /// For each of [`Count::ALL`].
    counts: Vec<i64>,
}

impl Packed {
    /// True when there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.iter().all(Vec::is_empty) && self.counts.iter().all(|count| *count == 0)
    }
}

impl Book {
    /// All of it; equal values of the histograms stay equal.
    #[must_use]
    pub fn packed(&self) -> Packed {
        let pairs = |times: &Histogram<u64>| {
            let recorded = times.iter_recorded();
            recorded
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect()
        };
        Packed {
            times: self.times.iter().map(pairs).collect(),
            counts: self.counts.to_vec(),
        }
    }

    /// Reads it back. `None`: it is another version's, or nothing that can have been measured.
    #[must_use]
    pub fn unpacked(packed: &Packed) -> Option<Self> {
        let mut book = Self {
            counts: packed.counts.clone().try_into().ok()?,
            ..Self::default()
        };
        let absurd = |count: &i64| count.unsigned_abs() > COUNT_MAX;
        if packed.times.len() != MEASURES || book.counts.iter().any(absurd) {
            return None;
        }
        for (times, pairs) in book.times.iter_mut().zip(&packed.times) {
            for (us, count) in pairs {
                times.record_n((*us).min(TIME_US_MAX), *count).ok()?;
            }
        }
        Some(book)
    }
}

/// Where one group writes. Clones are handles of the same book.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    book: Arc<Mutex<Book>>,
    ahead_us: i64,
}

impl Tally {
    /// On a machine whose clock is `ahead_us` ahead of the run's.
    #[must_use]
    pub fn ahead(ahead_us: i64) -> Self {
        Self {
            ahead_us,
            ..Self::default()
        }
    }

    /// The run's wall clock, which stamps and planned times come from, in microseconds since 1970.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        clock::unix_us().saturating_sub(self.ahead_us)
    }

    /// Puts what another machine measured on top.
    pub fn put(&self, book: &Book) {
        self.book.lock().add(book);
    }

    /// Notes a time; clocks that disagree make it 0 rather than negative.
    pub fn time(&self, measure: Measure, us: i64) {
        let us = u64::try_from(us).unwrap_or(0).min(TIME_US_MAX);
        let recorded = self.book.lock().times[measure as usize].record(us);
        recorded.expect("a histogram that grows holds an hour");
    }

    /// Counts.
    pub fn add(&self, count: Count, more: i64) {
        self.book.lock().counts[count as usize] += more;
    }

    /// Counts one.
    pub fn one(&self, count: Count) {
        self.add(count, 1);
    }

    /// What came since the last call.
    #[must_use]
    pub fn take(&self) -> Book {
        let mut book = self.book.lock();
        let taken = book.clone();
        book.clear();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_the_wire_is_the_same_book() {
        let tally = Tally::default();
        for us in [0, 1, 999, 1_234_567, 90_000_000_000] {
            tally.time(Measure::Live, us);
            tally.add(Count::Present, -1);
        }
        let book = tally.take();
        let packed = book.packed();
        let back = Book::unpacked(&packed).unwrap();
        assert_eq!(back.times, book.times);
        assert_eq!(back.counts, book.counts);
        let [mut short, mut few, mut absurd] = [packed.clone(), packed.clone(), packed];
        short.counts.pop();
        few.times.pop();
        absurd.counts[0] = i64::MIN;
        for wrong in [short, few, absurd] {
            assert!(Book::unpacked(&wrong).is_none());
        }
    }

    #[test]
    fn what_is_taken_adds_up() {
        let (tally, mut sum) = (Tally::default(), Book::default());
        for ms in [10, 20, 3000] {
            tally.time(Measure::Ack, ms * 1000);
            tally.one(Count::Orders);
            sum.add(&tally.take());
        }
        assert_eq!(sum.count(Count::Orders), 3);
        let p99 = sum.ms(Measure::Ack, 0.99).unwrap();
        assert!((2990.0..3010.0).contains(&p99), "{p99}");
        assert_eq!(sum.ms(Measure::Start, 0.5), None);
    }
}
