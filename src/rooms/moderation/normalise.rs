//! One spelling for what looks the same: the text as it is shown, and the text as it is matched.

use unicode_normalization::UnicodeNormalization as _;

use crate::protocol::interact::text::{MARKS_MAX, is_hidden, is_mark};

/// The text as all will see it: NFKC, without controls, direction overrides and zero-width
/// characters, with single spaces and bounded marks. Case stays. Joiners stay where scripts and
/// emoji need them.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut last, mut marks) = (' ', 0);
    for character in text.nfkc() {
        if character.is_whitespace() || character == '\u{2800}' {
            if last != ' ' {
                shown.push(' ');
                last = ' ';
            }
            continue;
        }
        let joins = matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe0f}');
        if joins && is_joined(last) {
            shown.push(character);
            continue;
        }
        if is_mark(character) {
            marks += 1;
            if last == ' ' || marks > MARKS_MAX {
                continue;
            }
        } else if is_hidden(character) {
            continue;
        } else {
            (last, marks) = (character, 0);
        }
        shown.push(character);
    }
    shown.truncate(shown.trim_end().len());
    shown
}

/// True for characters after which a joiner or an emoji selector changes what is seen: emoji,
/// keycaps, Arabic and the scripts of India.
fn is_joined(before: char) -> bool {
    matches!(before,
        '0'..='9' | '#' | '*' | '\u{600}'..='\u{6ff}' | '\u{900}'..='\u{dff}'
        | '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// The text as it is matched: `shown` in lower case, without accents, look-alikes of Latin letters
/// as those letters. The list of words is folded in the same way. Traditional and simplified
/// Chinese stay different: a list names both.
#[must_use]
pub fn folded(shown: &str) -> String {
    let plain = shown.chars().flat_map(char::to_lowercase).nfd();
    let visible = plain.filter(|&c| !is_accent(c) && !is_hidden(c));
    visible.map(look_alike).nfc().collect()
}

/// Marks that decorate European letters. Those of other scripts are letters in their own right.
fn is_accent(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Small letters of other alphabets that look like Latin ones, each before its Latin twin.
const TWINS: &str = "\
    аaеeоoсcрpхxуyіiјjѕsһhԁdԛqԝwкkмmтtвbнhгrпn\
    αaεeιiκkνvοoρpτtυuχxωwηnγyσoϲcϳj\
    ıiłløođdħhɑaɡgɩiʀrʏyʟlɪiɴnʜhʙbɢg\
    ᴀaᴄcᴅdᴇeᴊjᴋkᴍmᴏoᴘpᴛtᴜuᴠvᴡwᴢzꜰfꜱs";

fn look_alike(character: char) -> char {
    if character.is_ascii() || is_far_from_latin(character) {
        return character;
    }
    let letters = [
        ('\u{1f150}', '\u{1f169}'),
        ('\u{1f170}', '\u{1f189}'),
        ('\u{1f1e6}', '\u{1f1ff}'),
    ];
    for (first, last) in letters {
        if (first..=last).contains(&character) {
            let index = u32::from(character) - u32::from(first);
            return char::from_u32(u32::from('a') + index).unwrap_or(character);
        }
    }
    let mut twins = TWINS.chars();
    while let (Some(other), Some(latin)) = (twins.next(), twins.next()) {
        if other == character {
            return latin;
        }
    }
    character
}

/// Most of what is written here: no need to look through the twins.
fn is_far_from_latin(character: char) -> bool {
    ('\u{2e80}'..='\u{9fff}').contains(&character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shown_text_keeps_what_is_meant() {
        let check = |text: &str, expected: &str| assert_eq!(shown(text), expected, "{text:?}");
        check("Hello, World", "Hello, World");
        check("  two\n\tlines \u{3000} ", "two lines");
        check("ＦＵＬＬ　ｗｉｄｔｈ１２３", "FULL width123");
        check("微\u{200b}信", "微信");
        check("a\u{202e}b\u{2066}c\u{feff}", "abc");
        check("\u{0}\u{7}\u{1b}[31mred", "[31mred");
        check("e\u{301}", "é");
        check(
            "z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}",
            "z\u{300}\u{301}\u{302}",
        );
        check(" \u{301}x", "x");
        check(
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
            "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
        );
        check("می\u{200c}خواهم", "می\u{200c}خواهم");
        check("ติ่ม हिन्दी", "ติ่ม हिन्दी");
        check("\u{2800}\u{3164}\u{ad}", "");
        check("<script>alert(1)</script>", "<script>alert(1)</script>");
    }

    #[test]
    fn folded_text_is_one_spelling() {
        let check = |text: &str, expected: &str| {
            assert_eq!(folded(&shown(text)), expected, "{text:?}");
        };
        check("HeLLo", "hello");
        check("Ｈéｌｌö", "hello");
        check("раураl", "paypal");
        check("ΡΑΥΡΑL", "paupal");
        check("𝓯𝓻𝓮𝓮 Ⓕⓡⓔⓔ 🅵🆁🅴🅴", "free free free");
        check("ꜰʀᴇᴇ", "free");
        check("가격 が パ", "가격 が パ");
        check("हिन्दी", "हिन्दी");
        check("İI", "ii");
    }

    #[test]
    fn twins_are_pairs() {
        for (index, character) in TWINS.chars().enumerate() {
            assert_eq!(
                character.is_ascii_lowercase(),
                index % 2 == 1,
                "{character}"
            );
        }
    }

    proptest! {
        #[test]
        fn shown_is_stable_and_visible(text in ".{0,80}") {
            let once = shown(&text);
            prop_assert_eq!(shown(&once), once.clone());
            prop_assert!(!once.starts_with(' ') && !once.contains("  ") && !once.ends_with(' '));
            let _no_panic = folded(&once);
        }
    }
}
