//! What a broadcast promises its players in every playlist.

use std::fmt::Write as _;

use crate::media::broadcast::Timing;

/// The shortest playlist, in segments (AAS 8.11).
const SEGMENTS_MIN: u32 = 6;
/// CAN-SKIP-UNTIL in target durations: the least that HLS-22 4.4.3.8 allows.
const SKIP_UNTIL_TARGETS: u32 = 6;
/// HOLD-BACK in target durations: the least that HLS-22 4.4.3.8 allows.
const HOLD_BACK_TARGETS: u32 = 3;

/// The figures that are frozen for a broadcast and the same in all its playlists (R1.1): a player
/// that sees one of them change gives the stream up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    timing: Timing,
    window_ms: u32,
}

impl Terms {
    /// Terms for part timing `timing` and playlists of at least `window_seconds` (never below six
    /// segments).
    #[must_use]
    pub fn new(timing: Timing, window_seconds: u32) -> Self {
        let least_ms = timing.segment_ms.saturating_mul(SEGMENTS_MIN);
        Self {
            timing,
            window_ms: window_seconds.saturating_mul(1000).max(least_ms),
        }
    }

    /// TARGETDURATION (TD), in seconds, at least 1.
    #[must_use]
    pub fn target_seconds(&self) -> u32 {
        self.timing.segment_ms.div_ceil(1000).max(1)
    }

    /// PART-TARGET (PT), in milliseconds.
    #[must_use]
    pub fn part_ms(&self) -> u32 {
        self.timing.part_ms.max(1)
    }

    /// The length that a segment aims at, in milliseconds.
    #[must_use]
    pub fn segment_ms(&self) -> u32 {
        self.timing.segment_ms
    }

    /// How much media a playlist lists, in milliseconds.
    #[must_use]
    pub fn window_ms(&self) -> u32 {
        self.window_ms
    }

    /// CAN-SKIP-UNTIL, in seconds; `None` when the window is too short for delta updates.
    #[must_use]
    pub fn skip_until_seconds(&self) -> Option<u32> {
        let seconds = self.target_seconds() * SKIP_UNTIL_TARGETS;
        (self.window_ms / 1000 > seconds).then_some(seconds)
    }

    /// EXT-X-VERSION of every playlist, multivariant too: 9 when delta updates are offered
    /// (HLS-22 section 8), else 6.
    #[must_use]
    pub fn version(&self) -> u32 {
        if self.skip_until_seconds().is_some() {
            9
        } else {
            6
        }
    }

    /// How many parts ahead of the newest one a request may ask for (HLS-22 6.2.5.2): 3/PT rounded
    /// up when PT is below a second, else 3.
    #[must_use]
    pub fn advance_part_limit(&self) -> u32 {
        3000_u32.div_ceil(self.part_ms().min(1000))
    }

    /// How long a request may be held, in milliseconds: three target durations, and less than the
    /// 10 s after which hls.js gives up.
    #[must_use]
    pub fn hold_ms_max(&self) -> u32 {
        (self.target_seconds() * 3000).min(9000)
    }

    /// The first lines of every media playlist with parts.
    pub(super) fn header(&self) -> String {
        let mut out = self.title();
        put_line(
            &mut out,
            format_args!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},{}",
                Milliseconds(self.timing.hold_back_ms.max(3 * self.part_ms())),
                self.control(),
            ),
        );
        let part = Milliseconds(self.part_ms());
        put_line(&mut out, format_args!("#EXT-X-PART-INF:PART-TARGET={part}"));
        out
    }

    /// The same without parts and blocking reload: plain HLS.
    pub(super) fn plain_header(&self) -> String {
        let mut out = self.title();
        put_line(
            &mut out,
            format_args!("#EXT-X-SERVER-CONTROL:{}", self.control()),
        );
        out
    }

    fn title(&self) -> String {
        let mut out = String::with_capacity(256);
        put_line(&mut out, format_args!("#EXTM3U"));
        put_line(&mut out, format_args!("#EXT-X-VERSION:{}", self.version()));
        let target = self.target_seconds();
        put_line(&mut out, format_args!("#EXT-X-TARGETDURATION:{target}"));
        out
    }

    /// What EXT-X-SERVER-CONTROL says with and without parts.
    fn control(&self) -> String {
        let hold_back = self.target_seconds() * HOLD_BACK_TARGETS;
        match self.skip_until_seconds() {
            Some(seconds) => format!("HOLD-BACK={hold_back}.0,CAN-SKIP-UNTIL={seconds}.0"),
            None => format!("HOLD-BACK={hold_back}.0"),
        }
    }
}

/// Prints as seconds with three decimals.
struct Milliseconds(u32);

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Appends one line.
pub(super) fn put_line(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.write_fmt(line).expect("a String takes every write");
    out.push('\n');
}
