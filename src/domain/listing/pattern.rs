//! Patterns of `~` filters, and a bound for the time that matching them takes.

use std::cell::Cell;

use crate::domain::violation::{Reason, Violation};

/// Longest pattern, in characters: matching costs pattern times text.
pub const PATTERN_MAX_CHARACTERS: usize = 255;

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcard {
    /// `%`
    AnyRun,
    /// `_`
    AnyOne,
    /// Any other character, in lower case where it is ASCII.
    Literal(char),
}

/// Parses a pattern: `%` any run of characters, `_` exactly one; `\` escapes them and itself.
///
/// # Errors
/// A pattern that is too long.
pub fn parse_pattern(attribute: &str, text: &str) -> Result<Vec<Wildcard>, Violation> {
    if text.chars().count() > PATTERN_MAX_CHARACTERS {
        return Err(Violation::new(attribute, Reason::TooLong(PATTERN_MAX_CHARACTERS as u64)));
    }
    let mut pattern = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        pattern.push(match character {
            '%' if pattern.last() == Some(&Wildcard::AnyRun) => continue,
            '%' => Wildcard::AnyRun,
            '_' => Wildcard::AnyOne,
            '\\' => {
                Wildcard::Literal(characters.next_if(|next| matches!(next, '%' | '_' | '\\')).unwrap_or('\\'))
            }
            other => Wildcard::Literal(other.to_ascii_lowercase()),
        });
    }
    Ok(pattern)
}

/// Steps that the patterns of one request may take: matching costs pattern times text, for each connector.
const PATTERN_STEPS_MAX: u64 = 50_000_000;

/// What is left of the steps of one request.
pub struct Budget(Cell<u64>);

impl Budget {
    /// The steps of one request.
    pub fn new() -> Self {
        Self(Cell::new(PATTERN_STEPS_MAX))
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes a step; `false` when there is none left.
    pub fn step(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// The patterns of a request would take too long.
#[derive(Debug, PartialEq, Eq)]
pub struct TooCostly;

/// Matches greedily; on a mismatch only the last run is made longer, so the cost is pattern times text. Without budget
/// the result does not matter.
pub fn is_like(pattern: &[Wildcard], text: &str, budget: &Budget) -> bool {
    let mut rest = text.chars();
    let mut position = 0;
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    while budget.step() {
        if pattern.get(position) == Some(&Wildcard::AnyRun) {
            position += 1;
            retry = Some((position, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        let matches = match (pattern.get(position), ahead.next()) {
            (None, None) => return true,
            (Some(Wildcard::AnyOne), Some(_)) => true,
            (Some(Wildcard::Literal(literal)), Some(character)) => *literal == character.to_ascii_lowercase(),
            (_, None) => return false,
            (None | Some(Wildcard::AnyRun), Some(_)) => false,
        };
        if matches {
            rest = ahead;
            position += 1;
            continue;
        }
        let Some((after_run, run_rest)) = &mut retry else { return false };
        if run_rest.next().is_none() {
            return false;
        }
        position = *after_run;
        rest = run_rest.clone();
    }
    false
}
