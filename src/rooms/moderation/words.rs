//! Filtered words: a list folded into one automaton, and where it strikes.
//!
//! Both the list and the comment are matched without spaces and punctuation; what stood between
//! the letters decides whether a strike counts. Chinese and other scripts without spaces match
//! anywhere. Words of scripts with spaces match as whole words, so that "class" is not cut up.

use std::collections::HashMap;

use daachorse::{CharwiseDoubleArrayAhoCorasick, CharwiseDoubleArrayAhoCorasickBuilder};

use crate::rooms::moderation::normalise;
use crate::rooms::moderation::squeezed::{Gap, Kind, Squeezed};

/// The longest list, in bytes.
pub const LIST_BYTES_MAX: usize = 8 << 20;
/// The most words in a list.
pub const WORDS_MAX: usize = 100_000;
/// The longest word, in letters.
pub const WORD_LETTERS_MAX: usize = 64;
/// Words of so many letters match inside longer words too: by chance they do not.
const INSIDE_LETTERS_MIN: usize = 8;
/// Before an exception.
const ALLOW: &str = "allow:";

/// A list of words, ready to match.
#[derive(Default)]
pub struct Words {
    automaton: Option<CharwiseDoubleArrayAhoCorasick<u32>>,
    words: Vec<Word>,
}

/// One line of the list.
#[derive(Debug)]
struct Word {
    line: usize,
    allow: bool,
    /// Written without spaces between words, wholly or partly.
    dense: bool,
    /// Matches the beginning of longer words too.
    open: bool,
    /// Bit n: a space of its own before letter n.
    seams: u64,
    letters: usize,
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Too long.
    #[error("{0} bytes are above the limit of {LIST_BYTES_MAX}")]
    TooLong(usize),
    /// Too many.
    #[error("line {0}: more than {WORDS_MAX} words")]
    TooMany(usize),
    /// A word that nobody would write.
    #[error("line {line}: a word of {letters} letters: use at most {WORD_LETTERS_MAX}")]
    LongWord {
        /// Where.
        line: usize,
        /// How many.
        letters: usize,
    },
    /// Nothing is left without spaces and punctuation.
    #[error("line {0}: no letter and no digit")]
    NoLetter(usize),
    /// Filtered in one place and allowed in another.
    #[error("line {line}: line {other} says the opposite")]
    Contradiction {
        /// The later line.
        line: usize,
        /// The earlier line.
        other: usize,
    },
    /// Beyond what the automaton can hold.
    #[error("the list is too large: {0}")]
    Automaton(String),
}

impl Words {
    /// Reads a list: a word or phrase a line; `#` begins a comment line; `word*` matches longer
    /// forms too; `allow:phrase` is an exception, inside which nothing is filtered.
    pub fn parse(list: &str) -> Result<Self, ListError> {
        if list.len() > LIST_BYTES_MAX {
            return Err(ListError::TooLong(list.len()));
        }
        let mut words: Vec<Word> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        for (line, text) in (1..).zip(list.lines()) {
            let text = text.trim().trim_start_matches('\u{feff}');
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (letters, word) = Word::parse(line, text)?;
            if let Some(&known) = index.get(&letters) {
                let known = &mut words[known];
                if known.allow != word.allow {
                    let other = known.line;
                    return Err(ListError::Contradiction { line, other });
                }
                known.open |= word.open;
                known.seams |= word.seams;
                continue;
            }
            if words.len() >= WORDS_MAX {
                return Err(ListError::TooMany(line));
            }
            index.insert(letters, words.len());
            words.push(word);
        }
        let patterns = index.into_iter().map(|(letters, word)| {
            let word = u32::try_from(word).expect("at most WORDS_MAX");
            (letters, word)
        });
        let automaton = (!words.is_empty())
            .then(|| CharwiseDoubleArrayAhoCorasickBuilder::new().build_with_values(patterns));
        Ok(Self {
            automaton: automaton
                .transpose()
                .map_err(|error| ListError::Automaton(error.to_string()))?,
            words,
        })
    }

    /// How many words there are, exceptions included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The line of a word that `folded` (see [`normalise::folded`]) contains, if it does.
    ///
    /// All strikes are looked at, also overlapping ones: one that does not count may hide one that
    /// does.
    #[must_use]
    pub fn find(&self, folded: &str) -> Option<usize> {
        let automaton = self.automaton.as_ref()?;
        let text = Squeezed::new(folded);
        let (mut strikes, mut allowed) = (Vec::new(), Vec::new());
        for strike in automaton.find_overlapping_iter(text.as_str()) {
            let word = &self.words[strike.value() as usize];
            let last = text.letter_ending_at(strike.end());
            let range = last + 1 - word.letters..last + 1;
            if word.allow {
                allowed.push(range);
            } else if word.counts(&text, range.clone()) {
                strikes.push((range, word.line));
            }
        }
        strikes.retain(|(strike, _)| {
            let inside = |range: &std::ops::Range<usize>| {
                range.start <= strike.start && strike.end <= range.end
            };
            !allowed.iter().any(inside)
        });
        strikes.first().map(|(_, line)| *line)
    }
}

impl Word {
    /// The letters that are matched, and how.
    fn parse(line: usize, text: &str) -> Result<(String, Self), ListError> {
        let (allow, text) = match text.strip_prefix(ALLOW) {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (open, text) = match text.trim().strip_suffix('*') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let squeezed = Squeezed::new(&normalise::folded(&normalise::shown(text)));
        let letters = squeezed.len();
        if letters == 0 {
            return Err(ListError::NoLetter(line));
        }
        if letters > WORD_LETTERS_MAX {
            return Err(ListError::LongWord { line, letters });
        }
        let all = || (0..letters).map(|letter| squeezed.letter(letter));
        let seams = all()
            .enumerate()
            .filter(|(_, letter)| letter.gap != Gap::None);
        let word = Self {
            line,
            allow,
            dense: all().any(|letter| letter.kind == Kind::Dense),
            open: open || letters >= INSIDE_LETTERS_MIN,
            seams: seams.fold(0, |seams, (at, _)| seams | 1 << at),
            letters,
        };
        Ok((squeezed.as_str().to_owned(), word))
    }

    /// Whether a strike at `range` is this word, and not letters of others that happen to meet.
    fn counts(&self, text: &Squeezed, range: std::ops::Range<usize>) -> bool {
        let inner = range.start + 1..range.end;
        let is_seam = |at: &usize| self.seams & (1 << (at - range.start)) != 0;
        let gaps: Vec<usize> = inner
            .filter(|&at| text.letter(at).gap != Gap::None)
            .filter(|at| !is_seam(at))
            .collect();
        if self.dense {
            return gaps
                .iter()
                .all(|&at| text.letter(at).gap != Gap::Stop || text.is_lone(at));
        }
        let whole = text.begins_word(range.start) && text.ends_word(range.end - 1);
        if gaps.is_empty() {
            let begins = self.letters >= INSIDE_LETTERS_MIN || text.begins_word(range.start);
            return whole || (self.open && begins);
        }
        if gaps.iter().all(|&at| text.letter(at).gap == Gap::Odd) {
            return whole;
        }
        let pieces = text.pieces(range);
        let lone = pieces.iter().filter(|letters| **letters == 1).count();
        let short = pieces.len() >= 3 && pieces.iter().all(|letters| *letters <= 2);
        whole && (lone >= 2 || short)
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Words({})", self.words.len())
    }
}

#[cfg(test)]
#[path = "words_test.rs"]
mod tests;
