//! A text without what stands between its letters, and what stood there.

use std::ops::Range;

/// What stood before a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Nothing: it follows the letter before.
    None,
    /// Signs that nobody writes inside or between words: `*`, `_`, `|`, emoji ...
    Odd,
    /// Spaces, hyphens.
    Space,
    /// The punctuation of sentences.
    Stop,
}

/// What a letter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A script that puts spaces between words.
    Spaced,
    /// A digit.
    Digit,
    /// A script that does not: Chinese, Japanese, Korean, Thai ...
    Dense,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) gap: Gap,
    pub(super) kind: Kind,
    character: char,
    /// Where it ends in the text, in bytes.
    end: usize,
}

/// Letters and digits only.
pub(super) struct Squeezed {
    text: String,
    letters: Vec<Letter>,
}

impl Squeezed {
    /// Squeezes a folded text. Three and more of the same Latin letter in a row become one.
    pub(super) fn new(folded: &str) -> Self {
        let mut letters: Vec<Letter> = Vec::with_capacity(folded.len());
        let (mut gap, mut run) = (Gap::None, 0);
        for character in folded.chars() {
            if !is_letter(character) {
                gap = gap.max(gap_of(character));
                continue;
            }
            let kind = kind_of(character);
            let again = letters
                .last()
                .is_some_and(|letter| letter.character == character);
            run = if again && gap == Gap::None {
                run + 1
            } else {
                1
            };
            if run > 2 && kind == Kind::Spaced {
                if run == 3 {
                    letters.pop();
                }
                continue;
            }
            letters.push(Letter {
                gap: if letters.is_empty() { Gap::None } else { gap },
                kind,
                character,
                end: 0,
            });
            gap = Gap::None;
        }
        let mut text = String::with_capacity(folded.len());
        for letter in &mut letters {
            text.push(letter.character);
            letter.end = text.len();
        }
        Self { text, letters }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn letter(&self, at: usize) -> Letter {
        self.letters[at]
    }

    /// The letter whose last byte is before `end`.
    pub(super) fn letter_ending_at(&self, end: usize) -> usize {
        self.letters.partition_point(|letter| letter.end < end)
    }

    /// True when no word goes on before letter `at`.
    pub(super) fn begins_word(&self, at: usize) -> bool {
        at == 0 || self.is_edge(at)
    }

    /// True when no word goes on after letter `at`.
    pub(super) fn ends_word(&self, at: usize) -> bool {
        at + 1 == self.letters.len() || self.is_edge(at + 1)
    }

    /// True when the piece on one side of the gap before letter `at` is a single letter.
    pub(super) fn is_lone(&self, at: usize) -> bool {
        let open = |at: usize| at == 0 || at >= self.len() || self.letter(at).gap != Gap::None;
        open(at - 1) || open(at + 1)
    }

    /// The lengths of the pieces that make up `range`.
    pub(super) fn pieces(&self, range: Range<usize>) -> Vec<usize> {
        let mut pieces = vec![1];
        for at in range.start + 1..range.end {
            match self.letter(at).gap {
                Gap::None => *pieces.last_mut().expect("there is a first piece") += 1,
                _ => pieces.push(1),
            }
        }
        pieces
    }

    fn is_edge(&self, at: usize) -> bool {
        let (before, letter) = (self.letter(at - 1), self.letter(at));
        letter.gap != Gap::None || before.kind != letter.kind
    }
}

fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || (!character.is_ascii() && is_vowel_sign(character))
}

/// Marks that are letters in their own right; accents are gone by now.
fn is_vowel_sign(character: char) -> bool {
    matches!(character, '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

fn gap_of(character: char) -> Gap {
    match character {
        // "it's" is one word, and so is "its".
        '\'' | '’' | '`' | '´' => Gap::None,
        '.' | ',' | ';' | ':' | '!' | '?' | '/' | '(' | ')' | '"' | '&' | '。' | '、' | '…'
        | '“' | '”' | '「' | '」' | '《' | '》' | '【' | '】' => Gap::Stop,
        '-' | '‐' | '–' | '—' => Gap::Space,
        other if other.is_whitespace() => Gap::Space,
        _ => Gap::Odd,
    }
}

fn kind_of(character: char) -> Kind {
    match character {
        other if other.is_numeric() && !is_dense(other) => Kind::Digit,
        other if is_dense(other) => Kind::Dense,
        _ => Kind::Spaced,
    }
}

fn is_dense(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
