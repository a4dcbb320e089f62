use proptest::prelude::*;

use super::*;

const LIST: &str = "\
# a comment
ass
shit
fuck*
penis
cialis
buy followers
微信
加v
法轮
色情
代开发票
QQ群
6合彩
allow:方法轮
motherfucker
слово
";

fn line(text: &str) -> Option<usize> {
    let words = Words::parse(LIST).unwrap();
    words.find(&normalise::folded(&normalise::shown(text)))
}

#[test]
fn words_are_found_however_they_are_dressed_up() {
    let check = |text: &str| assert!(line(text).is_some(), "{text:?} passes");
    for text in [
        "shit",
        "What a SHIT!",
        "ｓｈｉｔ",
        "s\u{200b}h\u{200d}it",
        "ѕһіт",
        "𝓼𝓱𝓲𝓽",
        "ⓢⓗⓘⓣ",
        "s h i t",
        "s.h.i.t",
        "s-h-i-t",
        "sh*it",
        "sh_it",
        "s|h|i|t",
        "shiiiit",
        "śhìt",
        "s hi t",
        "fuck",
        "fucking",
        "fuuuuuck you",
        "f.u.c.k",
        "buy followers",
        "Buy  FOLLOWERS now",
        "buy-followers",
        "buyfollowers",
        "motherfuckers",
        "слово",
        "СЛОВО!",
        "加微信",
        "加 微 信",
        "加微 信吧",
        "微-信",
        "微*信",
        "微❤信",
        "微，信，号",
        "薇信 微。信",
        "ＱＱ群",
        "qq群",
        "QQ 群号",
        "加V",
        "加ｖ",
        "加 V x123",
        "色\u{200b}情",
        "色|情",
        "代開发票 代开发票",
        "法轮",
        "法.轮.功",
        "法 轮 功",
        "6合彩",
        "６合彩",
        "六 6 合 彩",
    ] {
        check(text);
    }
}

#[test]
fn innocent_words_pass() {
    let check = |text: &str| assert_eq!(line(text), None, "{text:?}");
    for text in [
        "class",
        "Scunthorpe",
        "assassin",
        "passage",
        "glass shelf",
        "specialist",
        "socialism",
        "mishit",
        "it's hit",
        "its hit",
        "pen is mine",
        "the pen is mightier",
        "as soon",
        "peniston",
        "shitake",
        "grass, hit it",
        "bass",
        "buy more followers",
        "follow me",
        "微笑，信任",
        "我用这个方法轮到我了",
        "方法，轮到我",
        "色彩情感",
        "合彩",
        "16合1",
        "加入vip",
        "словоблудие",
        "666",
        "哈哈哈哈",
        "",
        "。。。",
        "😂😂",
    ] {
        check(text);
    }
}

#[test]
fn line_of_the_word_is_told() {
    assert_eq!(line("shit"), Some(3));
    assert_eq!(line("加微信"), Some(8));
}

#[test]
fn exceptions_hold_only_where_they_stand() {
    assert_eq!(line("方法轮"), None);
    assert!(line("方法轮 法轮").is_some());
}

#[test]
fn faults_name_their_line() {
    let fault = |list: &str| Words::parse(list).unwrap_err();
    assert_eq!(fault("ok\n\n***"), ListError::NoLetter(3));
    let long = fault(&"x1".repeat(33));
    assert_eq!(
        long,
        ListError::LongWord {
            line: 1,
            letters: 66
        }
    );
    let both = fault("bad\nallow: BAD");
    assert_eq!(both, ListError::Contradiction { line: 2, other: 1 });
    let many: String = (0..=WORDS_MAX).map(|n| format!("w{n}\n")).collect();
    assert_eq!(fault(&many), ListError::TooMany(WORDS_MAX + 1));
    assert!(matches!(
        fault(&"a".repeat(LIST_BYTES_MAX + 1)),
        ListError::TooLong(_)
    ));
}

#[test]
fn empty_list_and_repeated_words_are_fine() {
    assert_eq!(
        Words::parse("# nothing\n\n").unwrap().find("anything"),
        None
    );
    let words = Words::parse("\u{feff}bad\r\nBad\nＢＡＤ*\n").unwrap();
    assert_eq!(words.len(), 1);
    assert_eq!(words.find("badly"), Some(1));
}

#[test]
fn large_list_is_matched() {
    let list: String = (0..10_000)
        .map(|n| format!("词{n}语\nspam{n}word\n"))
        .collect();
    let words = Words::parse(&list).unwrap();
    assert_eq!(words.len(), 20_000);
    let clean = "这是一个很正常的评论 and nothing else ".repeat(10);
    assert_eq!(words.find(&clean), None);
    assert_eq!(words.find(&format!("{clean}词7777语")), Some(15_555));
    assert_eq!(words.find(&format!("{clean}spam9999word")), Some(20_000));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,120}", list in "[a-z 微信*#\n:]{0,60}") {
        let _any_answer = line(&text);
        if let Ok(words) = Words::parse(&list) {
            let _any_answer = words.find(&normalise::folded(&normalise::shown(&text)));
        }
    }

    #[test]
    fn a_listed_word_alone_is_found(word in "[a-z微信号0-9]{1,20}") {
        let words = Words::parse(&word).unwrap();
        prop_assert!(words.find(&normalise::folded(&word)).is_some());
    }
}
