//! The HTTP client of the probe: bounded requests that remember when which byte came.

use std::io::Read as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use reqwest::Url;

use super::{Error, Options};
use crate::runtime::clock::{self, Instant};

/// The largest object read, in bytes: a segment of 10 s at 50 Mbit/s.
const BODY_BYTES_MAX: usize = 64 << 20;

/// How long a request may take. Blocked reloads end in 503 after three target durations at the
/// latest; hls.js gives up on a playlist after 20 s.
const REQUEST_SECONDS_MAX: u64 = 20;

/// Sends requests as a browser's player would.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The status code.
    pub status: u16,
    /// The version of HTTP it came by.
    pub version: http::Version,
    /// The header fields, as sent.
    pub headers: HeaderMap,
    /// The body, after gzip.
    pub body: Bytes,
    /// When the request left.
    pub sent: Instant,
    /// From the request to the first byte of the body (or to the end, when it is empty).
    pub first_byte_after: Duration,
    /// From the request to the last byte of the body.
    pub done_after: Duration,
    /// Wall clock at the last byte, in microseconds since 1970.
    pub done_unix_us: i64,
}

impl Client {
    /// A client that trusts the public authorities, or everybody when `options.insecure`.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("rushlane-probe/", env!("CARGO_PKG_VERSION")))
            .tls_danger_accept_invalid_certs(options.insecure)
            .no_gzip()
            .redirect(reqwest::redirect::Policy::limited(3))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(REQUEST_SECONDS_MAX))
            .build()
            .map_err(Error::Client)?;
        Ok(Self { http })
    }

    /// Gets `url`, whatever the status.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer, Error> {
        let failed = |source| Error::Request {
            url: shown(url),
            source,
        };
        let sent = clock::now();
        let request = self
            .http
            .get(url.clone())
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::ORIGIN, "https://player.example");
        let mut response = request.send().await.map_err(failed)?;
        let (status, version) = (response.status().as_u16(), response.version());
        let headers = response.headers().clone();
        let mut body = BytesMut::new();
        let mut first_byte_after = None;
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            first_byte_after.get_or_insert_with(|| sent.elapsed());
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                let url = shown(url);
                return Err(Error::BodyTooLarge { url });
            }
            body.extend_from_slice(&chunk);
        }
        let done_after = sent.elapsed();
        let body = if headers.get(header::CONTENT_ENCODING).is_some_and(is_gzip) {
            gunzip(&body).ok_or_else(|| Error::BadGzip { url: shown(url) })?
        } else {
            body.freeze()
        };
        Ok(Answer {
            status,
            version,
            headers,
            body,
            sent,
            first_byte_after: first_byte_after.unwrap_or(done_after),
            done_after,
            done_unix_us: clock::unix_us(),
        })
    }
}

impl Answer {
    /// The body as text, with what is no UTF-8 replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text; empty when absent.
    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// `max-age` of `cache-control`, in seconds; `None` when absent or overruled by `no-store` or
    /// `no-cache`.
    pub(super) fn max_age_seconds(&self) -> Option<u64> {
        let control = self.header(header::CACHE_CONTROL).to_ascii_lowercase();
        let mut parts = control.split(',').map(str::trim);
        if parts.clone().any(|p| p == "no-store" || p == "no-cache") {
            return None;
        }
        parts.find_map(|p| p.strip_prefix("max-age=")?.parse().ok())
    }
}

/// `url` with `directives` (`name=value` joined by `&`) after the query it may have.
pub(super) fn with_directives(url: &Url, directives: &str) -> Url {
    let mut url = url.clone();
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&{directives}"),
        _ => directives.to_owned(),
    };
    url.set_query(Some(&query));
    url
}

/// `url` as it may be shown: queries hold tokens.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

fn is_gzip(value: &http::HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"gzip")
}

fn gunzip(bytes: &[u8]) -> Option<Bytes> {
    let mut out = Vec::new();
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX);
    flate2::read::MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut out)
        .ok()?;
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_keep_the_query_and_tokens_are_not_shown() {
        let url = Url::parse("https://a.example/x.m3u8?token=secret").expect("a URL");
        let blocked = with_directives(&url, "_HLS_msn=4&_HLS_part=1");
        assert_eq!(blocked.query(), Some("token=secret&_HLS_msn=4&_HLS_part=1"));
        assert_eq!(shown(&blocked), "https://a.example/x.m3u8");
    }
}
