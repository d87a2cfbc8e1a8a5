//! What is wrong with one attribute of an input, in a form that both programs and people can read.

/// The longest piece of a refused value that is repeated to its sender.
const ECHO_MAX_CHARACTERS: usize = 64;

/// One problem with one attribute. A parser gathers all of them before it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The attribute's JSON name, or `base` for the request as a whole.
    pub attribute: String,
    /// The rule that was broken.
    pub reason: Reason,
    /// What would be right, as the end of a sentence; empty where the reason says it all.
    pub advice: String,
}

/// The rule that was broken; the names are those of the API's `details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Required, but missing or empty.
    Blank,
    /// Another record has this unique value.
    Taken(String),
    /// Not one of the accepted values. `None` where the value must not be repeated.
    Invalid(Option<String>),
    /// Longer than so many characters.
    TooLong(u64),
    /// Has to be at least `count`.
    GreaterThanOrEqualTo {
        /// What was sent.
        value: String,
        /// The least that is accepted.
        count: u64,
    },
    /// Has to be at most `count`.
    LessThanOrEqualTo {
        /// What was sent.
        value: String,
        /// The most that is accepted.
        count: u64,
    },
}

impl Violation {
    /// A violation without further advice.
    pub fn new(attribute: impl Into<String>, reason: Reason) -> Self {
        Self { attribute: attribute.into(), reason, advice: String::new() }
    }

    /// `invalid`, repeating the beginning of the value and saying what would be right.
    pub fn invalid(attribute: impl Into<String>, value: &str, advice: impl Into<String>) -> Self {
        let reason = Reason::Invalid(Some(echo(value)));
        Self { attribute: attribute.into(), reason, advice: advice.into() }
    }

    /// `invalid` for an attribute that may hold a secret: the value is not repeated.
    pub fn invalid_secret(attribute: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { attribute: attribute.into(), reason: Reason::Invalid(None), advice: advice.into() }
    }

    /// The name of the reason in the API's `details`.
    pub fn code(&self) -> &'static str {
        match &self.reason {
            Reason::Blank => "blank",
            Reason::Taken(_) => "taken",
            Reason::Invalid(_) => "invalid",
            Reason::TooLong(_) => "too_long",
            Reason::GreaterThanOrEqualTo { .. } => "greater_than_or_equal_to",
            Reason::LessThanOrEqualTo { .. } => "less_than_or_equal_to",
        }
    }

    /// One English sentence for people.
    pub fn message(&self) -> String {
        let phrase = match &self.reason {
            Reason::TooLong(_) if !self.advice.is_empty() => "is too long".to_owned(),
            Reason::Blank => "can't be blank".to_owned(),
            Reason::Taken(_) => "has already been taken".to_owned(),
            Reason::Invalid(_) => "is invalid".to_owned(),
            Reason::TooLong(count) => format!("is too long (maximum is {count} characters)"),
            Reason::GreaterThanOrEqualTo { count, .. } => {
                format!("must be greater than or equal to {count}")
            }
            Reason::LessThanOrEqualTo { count, .. } => {
                format!("must be less than or equal to {count}")
            }
        };
        let subject =
            if self.attribute == "base" { "The request".to_owned() } else { human(&self.attribute) };
        match self.advice.as_str() {
            "" => format!("{subject} {phrase}"),
            advice => format!("{subject} {phrase}: {advice}"),
        }
    }
}

/// The beginning of a refused value, short enough to repeat.
pub fn echo(value: &str) -> String {
    value.chars().take(ECHO_MAX_CHARACTERS).collect()
}

/// `access_key` as `Access key`. Names that a client made up are cut like values.
fn human(attribute: &str) -> String {
    let text = echo(attribute).replace('_', " ");
    if text.trim().is_empty() {
        return "A parameter without a name".to_owned();
    }
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_sentences() {
        let cases = [
            (Violation::new("name", Reason::Taken("a".into())), "Name has already been taken"),
            (Violation::new("secret_key", Reason::Blank), "Secret key can't be blank"),
            (Violation::invalid("url", "ftp://x", "use http"), "Url is invalid: use http"),
            (Violation::new("", Reason::Blank), "A parameter without a name can't be blank"),
        ];
        for (violation, expected) in cases {
            assert_eq!(violation.message(), expected);
        }
        assert_eq!(echo(&"é".repeat(300)).chars().count(), 64);
    }
}
