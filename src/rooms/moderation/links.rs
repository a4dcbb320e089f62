//! Links in comments: URLs, bare hosts, addresses, and hosts that are spelt out.

use std::ops::Range;

use crate::rooms::moderation::normalise;

/// Ends of hosts that mean nothing else in a comment.
const ENDS: &[&str] = &[
    "com", "net", "org", "cn", "cc", "tv", "io", "co", "info", "biz", "xyz", "vip", "top", "shop",
    "site", "online", "club", "app", "dev", "wang", "ltd", "asia", "hk", "tw", "jp", "kr", "uk",
    "de", "fr", "ru", "br", "vn", "th", "edu", "gov", "ink", "icu", "store", "cloud", "tech",
];

/// Ends of hosts that are words too: a host only with a path behind it.
const WORDS: &[&str] = &[
    "me", "to", "so", "is", "it", "us", "in", "my", "id", "at", "be", "no", "am", "as", "do", "by",
    "gg", "ly", "la", "ai", "im", "re", "live", "link", "world", "fun", "life", "today", "pro",
    "one", "red", "art", "pub", "run", "new", "page", "chat", "cool", "mobi", "pw", "fm", "ws",
];

/// Ways to spell a dot; spaced ones only stand for it before one of [`ENDS`].
const DOTS: &[&str] = &[
    "(dot)", "[dot]", "{dot}", "(.)", "[.]", " dot ", " . ", " .", "。", "点",
];

/// The first host in `shown` (see [`normalise::shown`]) that is not at or below one of `allowed`
/// (in lower case).
#[must_use]
pub fn find(shown: &str, allowed: &[String]) -> Option<String> {
    // Allowed hosts are taken out before look-alikes are folded, so that none passes for them.
    let mut text: Vec<char> = shown.chars().flat_map(char::to_lowercase).collect();
    let mut from = 0;
    while let Some(host) = next_host(&text, from) {
        from = host.end;
        let name: String = text[host.clone()].iter().collect();
        if allowed.iter().any(|allowed| is_within(&name, allowed)) {
            text[host].fill(' ');
        }
    }
    let plain = normalise::folded(&text.iter().collect::<String>());
    let text: Vec<char> = spelt_out(&plain).chars().collect();
    let host = next_host(&text, 0)?;
    Some(text[host].iter().collect())
}

fn is_within(host: &str, allowed: &str) -> bool {
    let below = host.strip_suffix(allowed);
    below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// `text` with a dot for each spelling of one before an end of a host.
fn spelt_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let spelt = DOTS.iter().find_map(|dot| rest.strip_prefix(dot));
        match spelt
            .map(str::trim_start)
            .filter(|after| begins_with_end(after))
        {
            Some(after) => {
                out.push('.');
                rest = after;
            }
            None => {
                out.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    // "example. com", but not the end of a sentence before "net".
    for end in ["com", "cn"] {
        out = out.replace(&format!(". {end}"), &format!(".{end}"));
    }
    out
}

fn begins_with_end(text: &str) -> bool {
    let letters = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    ENDS.contains(&text.get(..letters).unwrap_or_default())
}

/// The first host at or after `from`.
fn next_host(text: &[char], from: usize) -> Option<Range<usize>> {
    (from..text.len()).find_map(|at| match text[at] {
        ':' => after_scheme(text, at, from),
        '.' => around_dot(text, at, from),
        _ => None,
    })
}

/// `scheme://host`, with the colon at `at`.
fn after_scheme(text: &[char], at: usize, from: usize) -> Option<Range<usize>> {
    let slashes = text.get(at + 1..at + 3)? == ['/', '/'];
    let scheme = at > from && text[at - 1].is_ascii_alphanumeric();
    let start = at + 3;
    let length = text
        .get(start..)?
        .iter()
        .take_while(|c| is_host(**c))
        .count();
    (slashes && scheme && length > 0).then_some(start..start + length)
}

/// `label.end`, with a dot at `at`.
fn around_dot(text: &[char], at: usize, from: usize) -> Option<Range<usize>> {
    let start = label_before(text, at, from)?;
    let letters = text[at + 1..]
        .iter()
        .take_while(|c| c.is_ascii_alphabetic());
    let end: String = letters.collect();
    let stop = at + 1 + end.len();
    let after = text.get(stop).copied().unwrap_or(' ');
    if after.is_ascii_alphanumeric() || after == '-' {
        return numbers(text, start);
    }
    let has_path = after == '/' && text.get(stop + 1).is_some_and(char::is_ascii_alphanumeric);
    let has_port = after == ':' && text.get(stop + 1).is_some_and(char::is_ascii_digit);
    let www = text[start..].starts_with(&['w', 'w', 'w', '.']) && at > start + 4;
    let end = end.as_str();
    let is_host = ENDS.contains(&end) && after != '.'
        || WORDS.contains(&end) && (has_path || has_port)
        || www && !end.is_empty();
    // "example.com.": the dot may end the sentence.
    let at_stop = after == '.'
        && ENDS.contains(&end)
        && !text.get(stop + 1).is_some_and(|c| is_host_letter(*c));
    (is_host || at_stop).then_some(start..stop)
}

/// Where the host begins whose next dot is at `at`. Letters of other scripts belong to it only when
/// one stands right before the dot: in Chinese, hosts follow words without a space.
fn label_before(text: &[char], at: usize, from: usize) -> Option<usize> {
    let before = text[from..at].last().filter(|c| c.is_alphanumeric())?;
    let ascii = before.is_ascii();
    let belongs = |c: &&char| is_host(**c) && (c.is_ascii() || !ascii);
    let length = text[from..at].iter().rev().take_while(belongs).count();
    let start = at - length;
    let dots = text[start..at]
        .iter()
        .take_while(|c| !c.is_alphanumeric())
        .count();
    Some(start + dots)
}

/// Four numbers up to 255 with dots between, from `start`.
fn numbers(text: &[char], start: usize) -> Option<Range<usize>> {
    let digits = |c: &&char| c.is_ascii_digit() || **c == '.';
    let length = text[start..].iter().take_while(digits).count();
    let address: String = text[start..start + length].iter().collect();
    let address = address.trim_end_matches('.');
    let is_address = address.parse::<std::net::Ipv4Addr>().is_ok();
    is_address.then_some(start..start + address.len())
}

fn is_host(character: char) -> bool {
    is_host_letter(character) || character == '.'
}

fn is_host_letter(character: char) -> bool {
    character.is_alphanumeric() || character == '-' || character == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Option<String> {
        let allowed = ["shop.example".into(), "example.cn".into()];
        find(&normalise::shown(text), &allowed)
    }

    #[test]
    fn links_are_found_however_they_are_written() {
        let check = |text: &str, expected: &str| {
            assert_eq!(host(text).as_deref(), Some(expected), "{text:?}");
        };
        check("http://evil.test/x", "evil.test");
        check("HTTPS://EVIL.com", "evil.com");
        check("weixin://dl", "dl");
        check("看example.com吧", "example.com");
        check("去 www.evil.weird 看", "www.evil.weird");
        check("t.me/xyz", "t.me");
        check("nice.live:8080", "nice.live");
        check("例子.com", "例子.com");
        check("163.com", "163.com");
        check("me@evil.com", "evil.com");
        check("a.b.c.evil.top/x", "a.b.c.evil.top");
        check("ｅｖｉｌ．ｃｏｍ", "evil.com");
        check("evil。com", "evil.com");
        check("evil点com", "evil.com");
        check("evil dot com", "evil.com");
        check("evil[.]com evil(dot)net", "evil.com");
        check("evil . com", "evil.com");
        check("evil .com", "evil.com");
        check("evil. com", "evil.com");
        check("eviӏ ehttp evil.соm", "evil.com");
        check("10.0.0.1:8080", "10.0.0.1");
        check("it is evil.com.", "evil.com");
        check("shop.example.evil.com", "shop.example.evil.com");
        check("notexample.cn", "notexample.cn");
        check("https://shop.example@evil.com/", "evil.com");
        check("ехample.cn", "example.cn");
        check(
            "shop.example ѕhop.example/x https://ѕhop.example",
            "shop.example",
        );
    }

    #[test]
    fn what_is_no_link_passes() {
        let check = |text: &str| assert_eq!(host(text), None, "{text:?}");
        for text in [
            "",
            ".",
            "...",
            "a.b",
            "3.5",
            "1.2.3",
            "v1.2.3.4.5",
            "300.1.1.1",
            "e.g. this",
            "Node.js",
            "great.it is",
            "yes.so what",
            "200 g. net weight",
            "好看。真好",
            "点赞",
            "一点点",
            "polka dot dress",
            "price: 9.90",
            "12:30",
            "a://",
            "://x",
            "ok...com",
            "he said:hi",
            "connect the dot",
            "shop.example",
            "https://shop.example/x?y=1",
            "www.shop.example",
            "看example.cn吧",
            "U.S.A.",
        ] {
            check(text);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", dots in "[a-z.:/ 点。]{0,40}") {
            let _any_answer = (host(&text), host(&dots));
        }
    }
}
