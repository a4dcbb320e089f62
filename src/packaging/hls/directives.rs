//! The delivery directives in the query of a playlist request.

/// Which delta update a request asks for (`_HLS_skip`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Skip {
    /// The whole playlist.
    #[default]
    No,
    /// `YES`: older segments may be left out.
    Yes,
    /// `v2`: older date ranges too. Playlists hold no date ranges, so it gets what `YES` gets.
    V2,
}

/// The delivery directives of a request: with the path, all that its answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Directives {
    /// `_HLS_msn`: answer once this segment is there.
    pub msn: Option<u64>,
    /// `_HLS_part`: answer once this part of it is there.
    pub part: Option<u32>,
    /// `_HLS_skip`.
    pub skip: Skip,
}

/// Why a query gets 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The same directive twice.
    #[error("{0} is given twice")]
    Duplicate(&'static str),
    /// A value that is no decimal number, or too large for one.
    #[error("{0} is not a decimal number")]
    NotANumber(&'static str),
    /// Only `YES` and `v2` exist.
    #[error("_HLS_skip must be YES or v2")]
    UnknownSkip,
    /// HLS-22 6.2.5.2 wants 400.
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
}

impl Directives {
    /// Reads the directives from `query` (what follows `?`); other parameters are passed over.
    ///
    /// Source: HLS-22 6.2.5.
    pub fn parse(query: &str) -> Result<Self, Malformed> {
        let mut found = Self::default();
        let mut skip = None;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => put_once(&mut found.msn, "_HLS_msn", number("_HLS_msn", value)?)?,
                "_HLS_part" => {
                    let part = number("_HLS_part", value)?;
                    let part = u32::try_from(part).unwrap_or(u32::MAX);
                    put_once(&mut found.part, "_HLS_part", part)?;
                }
                "_HLS_skip" => {
                    let wish = match value {
                        "YES" => Skip::Yes,
                        "v2" => Skip::V2,
                        _ => return Err(Malformed::UnknownSkip),
                    };
                    put_once(&mut skip, "_HLS_skip", wish)?;
                }
                _ => {}
            }
        }
        if found.part.is_some() && found.msn.is_none() {
            return Err(Malformed::PartWithoutMsn);
        }
        found.skip = skip.unwrap_or_default();
        Ok(found)
    }

    /// True when the answer may have to wait.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.msn.is_some()
    }
}

fn put_once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), Malformed> {
    match place.replace(value) {
        Some(_) => Err(Malformed::Duplicate(name)),
        None => Ok(()),
    }
}

fn number(name: &'static str, value: &str) -> Result<u64, Malformed> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = digits.then(|| value.parse().ok()).flatten();
    parsed.ok_or(Malformed::NotANumber(name))
}
