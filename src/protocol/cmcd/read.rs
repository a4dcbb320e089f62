//! The grammar: a dictionary of structured fields (RFC 8941) with the keys of CMCD.

use super::{Cmcd, EVENTS_MAX, SET_BYTES_MAX, TEXT_BYTES_MAX};

/// The version that is read; sets of a later one are left out whole.
const VERSION_MAX: u32 = 2;

/// Keys of one set that are looked at: version 2 knows some fifty.
const KEYS_MAX: usize = 96;

/// Reads a set: the decoded query value first, then the headers, which win (CTA-5004-B, server
/// duties).
#[must_use]
pub fn read<'a>(query: Option<&'a str>, headers: impl IntoIterator<Item = &'a str>) -> Cmcd {
    let mut set = Cmcd::default();
    for text in query.into_iter().chain(headers) {
        if text.len() <= SET_BYTES_MAX {
            fill(&mut set, text);
        }
    }
    match set.v {
        Some(version) if version > VERSION_MAX => Cmcd::default(),
        _ => set,
    }
}

/// Reads a report of events: a set a line (CTA-5004-B, event mode). Lines beyond [`EVENTS_MAX`] and
/// empty ones are left out.
#[must_use]
pub fn events(body: &str) -> Vec<Cmcd> {
    let lines = body.split('\n').take(EVENTS_MAX);
    let sets = lines.map(|line| read(Some(line.trim_end_matches('\r')), []));
    sets.filter(|set| !set.is_empty()).collect()
}

fn fill(set: &mut Cmcd, text: &str) {
    for item in Items(text).take(KEYS_MAX) {
        let (key, value) = match item.split_once('=') {
            Some((key, value)) => (key.trim(), value.trim()),
            // A boolean that is true is its key alone.
            None => (item.trim(), "?1"),
        };
        let number = || number(value);
        match key {
            "ab" | "bg" | "bsd" | "cs" | "nor" | "pr" => {}
            "bl" => set.bl = number().or(set.bl),
            "br" => set.br = number().or(set.br),
            "bs" => set.bs = truth(value).unwrap_or(set.bs),
            "cid" => set.cid = string(value).or_else(|| set.cid.take()),
            "d" => set.d = number().or(set.d),
            "dl" => set.dl = number().or(set.dl),
            "e" => set.e = token(value, EVENTS).or(set.e),
            "ltc" => set.ltc = number().or(set.ltc),
            "msd" => set.msd = number().or(set.msd),
            "mtp" => set.mtp = number().or(set.mtp),
            "ot" => set.ot = token(value, OBJECTS).or(set.ot),
            "rc" => set.rc = number().or(set.rc),
            "rtp" => set.rtp = number().or(set.rtp),
            "sf" => set.sf = token(value, FORMATS).or(set.sf),
            "sid" => set.sid = string(value).or_else(|| set.sid.take()),
            "sn" => set.sn = number().or(set.sn),
            "st" => set.st = token(value, STREAMS).or(set.st),
            "sta" => set.sta = token(value, STATES).or(set.sta),
            "su" => set.su = truth(value).unwrap_or(set.su),
            "tb" => set.tb = number().or(set.tb),
            "ts" => set.ts = value.parse().ok().or(set.ts),
            "ttfb" => set.ttfb = number().or(set.ttfb),
            "ttlb" => set.ttlb = number().or(set.ttlb),
            "v" => set.v = number().or(set.v),
            _ => {}
        }
    }
}

const FORMATS: &[&str] = &["d", "h", "s", "o"];
const STREAMS: &[&str] = &["v", "l", "ll"];
const OBJECTS: &[&str] = &["m", "a", "v", "av", "i", "c", "tt", "k", "o"];
const STATES: &[&str] = &["s", "p", "k", "r", "a", "w", "e", "f", "q", "d"];
const EVENTS: &[&str] = &[
    "ps", "e", "t", "c", "b", "m", "um", "pe", "pc", "rr", "bc", "pr", "sk", "ce",
];

/// A whole number; of an inner list (version 2: one figure for each object type) the picture's,
/// else the first.
fn number(value: &str) -> Option<u32> {
    let Some(list) = value.strip_prefix('(') else {
        // Rounded figures may come as decimals.
        let whole = value.split(['.', ';']).next()?;
        return whole.parse().ok();
    };
    let items = || list.trim_end_matches(')').split_ascii_whitespace();
    let is_video = |item: &&str| item.split(';').any(|parameter| parameter == "v");
    let chosen = items().find(is_video).or_else(|| items().next())?;
    chosen.split([';', '.']).next()?.parse().ok()
}

fn truth(value: &str) -> Option<bool> {
    match value {
        "?1" | "true" => Some(true),
        "?0" | "false" => Some(false),
        _ => None,
    }
}

fn token(value: &str, known: &[&'static str]) -> Option<&'static str> {
    let value = value.trim_matches('"');
    known.iter().find(|word| **word == value).copied()
}

/// A quoted string of printable characters.
fn string(value: &str) -> Option<Box<str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let fits = inner.len() <= TEXT_BYTES_MAX && inner.chars().all(|c| !c.is_control());
    if !fits {
        return None;
    }
    if inner.contains('\\') {
        return Some(inner.replace("\\\"", "\"").replace("\\\\", "\\").into());
    }
    Some(inner.into())
}

/// The members of a dictionary: split at commas outside strings and inner lists.
struct Items<'a>(&'a str);

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped, mut in_list) = (false, false, false);
        let end = self.0.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'(' if !quoted => in_list = true,
                b')' if !quoted => in_list = false,
                b',' => return !quoted && !in_list,
                _ => {}
            }
            false
        });
        // A comma is one byte, so both sides are text.
        let (item, rest) = match end.and_then(|at| self.0.split_at_checked(at)) {
            Some((item, rest)) => (item, rest.get(1..).unwrap_or_default()),
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_1_of_a_player_is_read() {
        let text = "bl=21300,br=3200,bs,cid=\"faec5fc2-ac30-11ea-bb37-0242ac130002\",d=4004,\
            dl=18500,mtp=48100,nor=\"..%2Fb.m4v\",nrr=\"12323-48763\",ot=v,pr=1.08,rtp=12000,\
            sf=d,sid=\"6e2fb550-c457-11e9-bb97-0800200c9a66\",st=v,su,tb=6000";
        let set = read(Some(text), []);
        assert_eq!(
            (set.bl, set.br, set.mtp),
            (Some(21_300), Some(3200), Some(48_100))
        );
        assert_eq!((set.ot, set.sf, set.st), (Some("v"), Some("d"), Some("v")));
        assert!(set.bs && set.su);
        let sid = "6e2fb550-c457-11e9-bb97-0800200c9a66";
        assert_eq!(set.sid.as_deref(), Some(sid));
        assert_eq!(set.v, None);
    }

    #[test]
    fn version_2_has_lists_and_headers_win() {
        let query = "v=2,sta=p,br=(800;a 3200;v),bl=(900),ltc=1800,sid=\"q\",sn=4";
        let set = read(Some(query), ["sid=\"h\",bl=(700;v)", "bs=?0"]);
        assert_eq!(
            (set.br, set.bl, set.ltc),
            (Some(3200), Some(700), Some(1800))
        );
        assert_eq!((set.sid.as_deref(), set.sta), (Some("h"), Some("p")));
        assert!(!set.bs);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let long = format!("sid=\"{}\",bl=5", "x".repeat(TEXT_BYTES_MAX + 1));
        let huge = format!("bl=5,sid=\"{}\"", "x".repeat(SET_BYTES_MAX));
        let table = [
            ("", None),
            ("v=3,bl=100", None),
            ("bl=fast,com.example-x=\"a,b\"", None),
            ("com.example-x=\"a,bl=7\",bl=5", Some(5)),
            ("bl=-4", None),
            (&*long, Some(5)),
            (&*huge, None),
            (",,,=,bl=5,\"", Some(5)),
        ];
        for (text, bl) in table {
            let set = read(Some(text), []);
            assert_eq!(set.bl, bl, "{text}");
            assert_eq!(set.sid, None, "{text}");
        }
    }

    #[test]
    fn a_report_has_an_event_a_line() {
        let body = "v=2,e=ps,sta=p,sid=\"s\",sn=1,ts=1700000000123\r\n\ne=t,sn=2,bl=(900)\n";
        let found = events(body);
        let seen: Vec<_> = found.iter().map(|set| (set.e, set.sn, set.ts)).collect();
        let expected = [
            (Some("ps"), Some(1), Some(1_700_000_000_123)),
            (Some("t"), Some(2), None),
        ];
        assert_eq!(seen, expected);
        assert_eq!(events(&"e=t\n".repeat(1000)).len(), EVENTS_MAX);
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in "[\\PC]{0,200}",
            keys in "([a-z]{1,3}=?[\"(,;a-z0-9\\\\ )]{0,9}){0,9}",
        ) {
            let _any = read(Some(&text), [keys.as_str()]);
        }
    }
}
