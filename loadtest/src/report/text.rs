//! The report in words.

use crate::report::{Report, Verdict};

impl Verdict {
    /// As people say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::None => "NO VERDICT",
        }
    }
}

impl Report {
    /// A few lines for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for gate in &self.gates {
            let Some(value) = gate.value else {
                continue;
            };
            let sign = if gate.holds() { "ok " } else { "NO " };
            let value = number(value);
            let limit = number(gate.limit);
            let whose = &gate.whose;
            text += &format!(
                "{sign} {:<22} {value:>10} <= {limit:<8} {whose}\n",
                gate.name
            );
        }
        text += &format!("binds first: {}\n", self.binds_first);
        for reason in &self.reasons {
            text += &format!("{reason}\n");
        }
        text + self.verdict.word()
    }
}

/// A figure with as many digits as say something.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
