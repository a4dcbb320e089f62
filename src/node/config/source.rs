//! Configuration text: TOML with positions, overrides on top, and every fault at its place.
//!
//! Knows the shape of a configuration only through serde, so that other files of the house are read
//! as strictly; what the values mean is `check`'s matter.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::node::config::Override;

/// The most faults reported at once; a file with more is not a configuration.
const FAULTS_MAX: usize = 100;

/// One fault, as a person wants to read it: `FILE:LINE:COL: key: what is wrong, what is allowed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `FILE:LINE:COL`, an environment variable or a flag.
    pub place: String,
    /// The dotted key, such as `http.listen`; empty for a fault of grammar.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
    /// The byte in the file, for order; what stands outside the file comes last.
    offset: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            key,
            message,
            ..
        } = self;
        if key.is_empty() {
            return write!(f, "{place}: {message}");
        }
        write!(f, "{place}: {key}: {message}")
    }
}

/// A configuration text with its positions.
pub struct Source<'a> {
    name: &'a str,
    text: &'a str,
    table: Spanned<DeTable<'a>>,
    overrides: Vec<Override>,
}

impl<'a> Source<'a> {
    /// Reads `text`, named `name` in faults, with `overrides` on top (the last one wins). Whatever
    /// is wrong is in the last value; the configuration then holds defaults in its place.
    pub fn read<T: DeserializeOwned + Default>(
        name: &'a str,
        text: &'a str,
        overrides: &'a [Override],
    ) -> (Self, T, Vec<Fault>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut source = Self {
            name,
            text,
            table,
            overrides: Vec::new(),
        };
        let mut faults: Vec<Fault> = errors
            .into_iter()
            .take(FAULTS_MAX)
            .map(|error| source.fault(error.span().unwrap_or(0..0), &[], error.message()))
            .collect();
        // After a fault of grammar the rest of the table is a guess, and faults of content would
        // mislead.
        if faults.is_empty() {
            source.drop_faulty_entries::<T>(&mut faults);
        }
        for set in overrides {
            match set.parse::<T>() {
                Ok(value) => {
                    insert(source.table.get_mut(), &set.path, value);
                    source.overrides.push(set.clone());
                }
                Err(message) => faults.push(set.fault(message)),
            }
        }
        let config = T::deserialize(Deserializer::from(source.table.clone()));
        (source, config.unwrap_or_default(), faults)
    }

    /// A fault of meaning at `path`: at its value, else at its section, else at the top.
    pub fn fault_at(&self, path: &[&str], message: &str) -> Fault {
        if let Some(set) = self.overrides.iter().rev().find(|set| set.path == path) {
            return set.fault(message.to_owned());
        }
        let mut span = 0..0;
        let mut table = self.table.get_ref();
        for name in path {
            let Some((key, value)) = table.get_key_value(*name) else {
                break;
            };
            span = if value.get_ref().is_table() {
                key.span()
            } else {
                value.span()
            };
            let DeValue::Table(inner) = value.get_ref() else {
                break;
            };
            table = inner;
        }
        self.fault(span, path, message)
    }

    /// Serde stops at the first fault; so note it, take the entry out and look again.
    fn drop_faulty_entries<T: DeserializeOwned>(&mut self, faults: &mut Vec<Fault>) {
        while faults.len() < FAULTS_MAX {
            let deserializer = Deserializer::from(self.table.clone());
            let Err(error) = T::deserialize(deserializer) else {
                return;
            };
            let span = error.span().unwrap_or(0..0);
            let path = remove(self.table.get_mut(), &span);
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            faults.push(self.fault(span, &keys, error.message()));
            if path.is_empty() {
                return;
            }
        }
    }

    /// True when the file or an override sets `path`.
    pub fn sets(&self, path: &[&str]) -> bool {
        let mut table = self.table.get_ref();
        for (index, name) in path.iter().enumerate() {
            match table.get(*name).map(Spanned::get_ref) {
                Some(DeValue::Table(inner)) => table = inner,
                found => return found.is_some() && index + 1 == path.len(),
            }
        }
        true
    }

    fn fault(&self, span: Range<usize>, path: &[&str], message: &str) -> Fault {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Fault {
            place: format!("{}:{line}:{column}", self.name),
            key: path.join("."),
            message: message.trim().replace('\n', " "),
            offset: span.start,
        }
    }
}

impl Fault {
    /// Where it stands among the others: by its place in the file, then what is outside of it.
    #[must_use]
    pub fn order(&self) -> usize {
        self.offset
    }
}

impl Override {
    fn fault(&self, message: String) -> Fault {
        let (place, key) = (self.place.clone(), self.path.join("."));
        Fault {
            place,
            key,
            message,
            offset: usize::MAX,
        }
    }

    /// The value, proved to fit its key; else what is wrong with it.
    fn parse<T: DeserializeOwned>(&self) -> Result<DeValue<'_>, String> {
        let parsed = DeValue::parse(&self.value)
            .map(Spanned::into_inner)
            .unwrap_or_else(|_| DeValue::String(self.value.as_str().into()));
        let mut alone = DeTable::new();
        insert(&mut alone, &self.path, parsed.clone());
        match T::deserialize(Deserializer::from(Spanned::new(0..0, alone))) {
            Ok(_) => Ok(parsed),
            Err(error) => Err(error.message().trim().to_owned()),
        }
    }
}

/// Sets `path` to `value`, making sections on the way.
fn insert<'i>(table: &mut DeTable<'i>, path: &[String], value: DeValue<'i>) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let key = Spanned::new(0..0, first.clone().into());
    if rest.is_empty() {
        table.insert(key, Spanned::new(0..0, value));
        return;
    }
    let section = table.entry(key);
    let section = section.or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
    if !section.get_ref().is_table() {
        *section = Spanned::new(0..0, DeValue::Table(DeTable::new()));
    }
    if let DeValue::Table(inner) = section.get_mut() {
        insert(inner, rest, value);
    }
}

/// Takes out the innermost entry that `span` lies in and returns its path; empty: there is none.
fn remove(table: &mut DeTable<'_>, span: &Range<usize>) -> Vec<String> {
    let inside = |outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        if inside(&key.span()) {
            found = Some(vec![name]);
            break;
        }
        if let DeValue::Table(inner) = value.get_mut() {
            let rest = remove(inner, span);
            if !rest.is_empty() {
                return [vec![name], rest].concat();
            }
        } else if inside(&value.span()) {
            found = Some(vec![name]);
            break;
        }
    }
    if let Some([name]) = found.as_deref() {
        table.remove(name.as_str());
    }
    found.unwrap_or_default()
}
