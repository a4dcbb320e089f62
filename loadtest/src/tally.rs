//! What the actors measure: histograms and counts of each group, second by second and in all.

use std::sync::Arc;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

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
    pub const ALL: [Self; 20] = [
        Self::Present,
        Self::Plays,
        Self::StartsFailed,
        Self::Stalls,
        Self::StalledUs,
        Self::WatchedUs,
        Self::Pictures,
        Self::PicturesLost,
        Self::PartGaps,
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

    /// Names and counts of what happened at all.
    #[must_use]
    pub fn told(&self) -> Vec<(String, i64)> {
        let all = Count::ALL
            .iter()
            .map(|count| (format!("{count:?}"), self.count(*count)));
        all.filter(|(_, count)| *count != 0).collect()
    }

    /// Puts `other` on top.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.times.iter_mut().zip(&other.times) {
            own.add(more).expect("histograms that grow hold all values");
        }
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own += more;
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

/// Where one group writes. Clones are handles of the same book.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Book>>);

impl Tally {
    /// Notes a time; clocks that disagree make it 0 rather than negative.
    pub fn time(&self, measure: Measure, us: i64) {
        let us = u64::try_from(us).unwrap_or(0).min(TIME_US_MAX);
        let recorded = self.0.lock().times[measure as usize].record(us);
        recorded.expect("a histogram that grows holds an hour");
    }

    /// Counts.
    pub fn add(&self, count: Count, more: i64) {
        self.0.lock().counts[count as usize] += more;
    }

    /// Counts one.
    pub fn one(&self, count: Count) {
        self.add(count, 1);
    }

    /// What came since the last call.
    #[must_use]
    pub fn take(&self) -> Book {
        let mut book = self.0.lock();
        let taken = book.clone();
        book.clear();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
