//! Why the authority does not do what it is asked.

use crate::protocol::interact::question::Refusal;

/// Not with these rights.
pub(super) fn forbidden(detail: &str) -> Refusal {
    refusal(403, "not_allowed", detail)
}

/// A field says what it may not.
pub(super) fn malformed(detail: &str) -> Refusal {
    refusal(400, "malformed", detail)
}

/// There is no such room here.
pub(super) fn closed() -> Refusal {
    refusal(404, "no_room", "the room is not open")
}

/// More than is taken in one go.
pub(super) fn too_many(detail: &str) -> Refusal {
    refusal(413, "too_many", detail)
}

/// Not now.
pub(super) fn unavailable(code: &str, detail: &str) -> Refusal {
    Refusal {
        retry_after_s: Some(1),
        ..refusal(503, code, detail)
    }
}

fn refusal(status: u16, code: &str, detail: &str) -> Refusal {
    Refusal {
        status,
        code: code.into(),
        detail: detail.into(),
        retry_after_s: None,
    }
}
