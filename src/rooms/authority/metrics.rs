//! The authority's figures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::protocol::interact::Question;
use crate::telemetry;

const ROOM: &str = "rooms";

/// Handles of all figures. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) open: Gauge,
    pub(super) refused_rooms: Counter,
    questions: Family<QuestionLabels, Counter>,
    pub(super) comments_taken: Counter,
    pub(super) comments_refused: Counter,
    pub(super) comments_shown: Counter,
    pub(super) comments_unseen: Counter,
    pub(super) likes: Counter,
    pub(super) events: Counter,
    pub(super) audit_lost: Counter,
    pub(super) tick_lateness: Histogram,
    pub(super) save_seconds: Histogram,
    pub(super) saves_failed: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuestionLabels {
    kind: &'static str,
}

impl Metrics {
    pub(super) fn register(metrics: &telemetry::Metrics) -> Self {
        let this = Self::new();
        metrics.register(ROOM, "open", "Rooms open here", this.open.clone());
        metrics.register(
            ROOM,
            "questions",
            "Questions of edges",
            this.questions.clone(),
        );
        let counters: [(&str, &str, &Counter); 9] = [
            (
                "refused",
                "Rooms not opened for want of room",
                &this.refused_rooms,
            ),
            ("comments_taken", "Comments taken", &this.comments_taken),
            (
                "comments_refused",
                "Comments refused here",
                &this.comments_refused,
            ),
            (
                "comments_shown",
                "Comments put out to all",
                &this.comments_shown,
            ),
            (
                "comments_unseen",
                "Comments above what is shown",
                &this.comments_unseen,
            ),
            ("likes", "Likes counted", &this.likes),
            ("events", "Events put out, of all classes", &this.events),
            (
                "audit_lost",
                "Decisions that the ledger did not take",
                &this.audit_lost,
            ),
            (
                "saves_failed",
                "States that the ledger did not take",
                &this.saves_failed,
            ),
        ];
        for (name, help, counter) in counters {
            metrics.register(ROOM, name, help, counter.clone());
        }
        let histograms = [
            (
                "tick_lateness_seconds",
                "How late rooms do what is due",
                &this.tick_lateness,
            ),
            (
                "save_seconds",
                "How long the ledger takes for a state",
                &this.save_seconds,
            ),
        ];
        for (name, help, histogram) in histograms {
            metrics.register(ROOM, name, help, histogram.clone());
        }
        this
    }

    fn new() -> Self {
        Self {
            open: Gauge::default(),
            refused_rooms: Counter::default(),
            questions: Family::default(),
            comments_taken: Counter::default(),
            comments_refused: Counter::default(),
            comments_shown: Counter::default(),
            comments_unseen: Counter::default(),
            likes: Counter::default(),
            events: Counter::default(),
            audit_lost: Counter::default(),
            tick_lateness: Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0]),
            save_seconds: Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0]),
            saves_failed: Counter::default(),
        }
    }

    pub(super) fn count(&self, question: &Question) {
        let kind = match question {
            Question::Comment { .. } => "comment",
            Question::Order { .. } => "order",
            Question::OrderState { .. } => "order_state",
            Question::Orders { .. } => "orders",
            Question::Program { .. } => "program",
            Question::Moderate { .. } => "moderate",
            Question::Likes(_) => "likes",
            Question::Presence(_) => "presence",
            Question::Snapshot => "snapshot",
            Question::Audit { .. } => "audit",
        };
        self.questions.get_or_create(&QuestionLabels { kind }).inc();
    }
}
