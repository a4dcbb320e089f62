//! Characters that a reader does not see, or that change how he sees others.

use unicode_normalization::char::is_combining_mark;

/// How many marks a character may carry. Three are Hebrew with its vowels; a pile of them paints
/// over its neighbours.
pub const MARKS_MAX: usize = 3;

/// True for what paints onto the character before it.
#[must_use]
pub fn is_mark(character: char) -> bool {
    !character.is_ascii() && is_combining_mark(character)
}

/// True for controls, direction overrides, zero-width characters, fillers and tags: nothing that a
/// reader could see. Line breaks and tabs are among them.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}
