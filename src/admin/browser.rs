//! What browsers must not do to the desk on behalf of other people's pages.
//!
//! The desk of a node on loopback asks for no token, and any page that the operator visits can send
//! requests there. So a command must come from the desk's own pages or from no page at all, and
//! where no token stands before the figures, the desk must be called by an address or `localhost`:
//! another name may be a stranger's that resolves to this machine.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{HeaderMap, header};

/// Why `request` is not answered, if so. `is_open`: no token is asked for.
pub(super) fn fault(request: &Request, is_open: bool) -> Option<&'static str> {
    let headers = request.headers();
    if is_open && text(headers, "host").is_some_and(|host| !names_this_machine(host)) {
        return Some("call the desk by its address or as localhost, or set admin.token");
    }
    if !request.method().is_safe() && is_from_another_page(headers) {
        return Some("this came from a page of another site");
    }
    None
}

/// Fetch Metadata where the browser sends it (W3C Fetch Metadata, `Sec-Fetch-Site`), else `Origin`
/// (RFC 6454); programs send neither.
fn is_from_another_page(headers: &HeaderMap) -> bool {
    if let Some(site) = text(headers, "sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(headers, header::ORIGIN.as_str()) else {
        return false;
    };
    let page = origin.split_once("://").map(|(_, host)| host);
    page.is_none() || page != text(headers, header::HOST.as_str())
}

fn names_this_machine(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split(']').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, is_open: bool, headers: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = Request::builder().method(method).uri("/api/v1/drain");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        fault(&request.body(axum::body::Body::empty()).unwrap(), is_open)
    }

    #[test]
    fn commands_of_other_pages_are_refused() {
        let host = ("host", "127.0.0.1:9090");
        for (headers, passes) in [
            (vec![host], true),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("origin", "http://127.0.0.1:9090")], true),
            (vec![host, ("origin", "http://shop.example")], false),
            (vec![host, ("origin", "null")], false),
        ] {
            assert_eq!(
                asked("POST", true, &headers).is_none(),
                passes,
                "{headers:?}"
            );
        }
        assert_eq!(
            asked("GET", true, &[host, ("sec-fetch-site", "cross-site")]),
            None
        );
    }

    #[test]
    fn a_desk_without_a_token_answers_to_this_machines_names_only() {
        for (host, passes) in [
            ("localhost:9090", true),
            ("127.0.0.1:9090", true),
            ("[::1]:9090", true),
            ("rebound.example:9090", false),
            ("", false),
        ] {
            assert_eq!(
                asked("GET", true, &[("host", host)]).is_none(),
                passes,
                "{host}"
            );
            assert_eq!(asked("GET", false, &[("host", host)]), None, "{host}");
        }
        assert_eq!(asked("GET", true, &[]), None);
    }
}
