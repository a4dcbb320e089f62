//! What the admin API shows of an encoder: its rates over the last seconds.

use std::collections::VecDeque;

/// Over how long the rates are taken, in microseconds.
const WINDOW_US: i64 = 4_000_000;

/// How long one bucket of the window is.
const BUCKET_US: i64 = 500_000;

/// Rates of one encoder.
#[derive(Debug, Default)]
pub(super) struct Meter {
    buckets: VecDeque<Bucket>,
    last_key_ms: Option<i64>,
    gop_ms: Option<i64>,
}

#[derive(Debug)]
struct Bucket {
    start_us: i64,
    bytes: u64,
    video_frames: u64,
}

impl Meter {
    /// A frame of `bytes` arrived at `now_us`.
    pub(super) fn frame(&mut self, bytes: usize, is_video: bool, now_us: i64) {
        self.expire(now_us);
        let newest = self.buckets.back().map(|bucket| bucket.start_us);
        if newest.is_none_or(|start_us| now_us - start_us >= BUCKET_US) {
            self.buckets.push_back(Bucket {
                start_us: now_us,
                bytes: 0,
                video_frames: 0,
            });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            bucket.bytes += bytes as u64;
            bucket.video_frames += u64::from(is_video);
        }
    }

    /// A key frame at `ms` of broadcast time.
    pub(super) fn key(&mut self, ms: i64) {
        if let Some(last_ms) = self.last_key_ms.replace(ms) {
            self.gop_ms = Some(ms - last_ms);
        }
    }

    /// The distance of the last two key frames, in milliseconds.
    pub(super) fn gop_ms(&self) -> Option<i64> {
        self.gop_ms
    }

    /// Kilobits and video frames per second at `now_us`.
    pub(super) fn rates(&mut self, now_us: i64) -> (u64, f64) {
        self.expire(now_us);
        let Some(first) = self.buckets.front() else {
            return (0, 0.0);
        };
        let seconds = (now_us - first.start_us).max(BUCKET_US) as f64 / 1e6;
        let bytes: u64 = self.buckets.iter().map(|bucket| bucket.bytes).sum();
        let frames: u64 = self.buckets.iter().map(|bucket| bucket.video_frames).sum();
        let kilobits = bytes as f64 * 8.0 / 1000.0;
        (
            (kilobits / seconds).round() as u64,
            (frames as f64 / seconds * 10.0).round() / 10.0,
        )
    }

    fn expire(&mut self, now_us: i64) {
        let old = |bucket: &mut Bucket| now_us - bucket.start_us > WINDOW_US;
        while self.buckets.pop_front_if(old).is_some() {}
    }
}
