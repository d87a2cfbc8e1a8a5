//! What a list needs to know of the attributes of its records.

use std::borrow::Cow;

use crate::domain::timestamp::Timestamp;
use crate::domain::violation::Violation;

/// An attribute that a list can filter and order by.
pub trait Attribute: Copy + Eq + 'static {
    /// What is listed.
    type Record;
    /// Every attribute that the list can filter and order by.
    const ALL: &'static [Self];

    /// The name in the API.
    fn name(self) -> &'static str;

    /// How its values are compared.
    fn kind(self) -> AttributeKind;

    /// Its value in a record.
    fn value(self, record: &Self::Record) -> Value<'_>;

    /// The values that it can have, where there are only these: a mistyped one is refused, since an empty list would say
    /// that there is nothing.
    fn words(self) -> Option<Vec<&'static str>> {
        None
    }

    /// The attribute of this name.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|attribute| attribute.name() == name)
    }
}

/// How the values of an attribute are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeKind {
    /// By code point; patterns can match it.
    Text,
    /// As a whole number.
    Number,
    /// As a moment, written as RFC 3339.
    Moment,
}

/// A value as filters and orders see it. Unset ones come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value<'a> {
    /// No value.
    Unset,
    /// A number, or a moment in milliseconds.
    Number(i128),
    /// A text.
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// A number where there is one.
    pub fn number(number: Option<u64>) -> Self {
        number.map_or(Value::Unset, |number| Value::Number(number.into()))
    }

    /// A text where there is one.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Value::Unset, |text| Value::Text(Cow::Borrowed(text)))
    }

    /// A moment.
    pub fn moment(moment: Timestamp) -> Self {
        Value::Number(moment.unix_ms().into())
    }
}

impl AttributeKind {
    /// Parses the operand of a filter on an attribute of this kind.
    ///
    /// # Errors
    /// What is not a number, or not a moment.
    pub fn parse(self, attribute: &str, text: &str) -> Result<Value<'static>, Violation> {
        match self {
            AttributeKind::Text => Ok(Value::Text(Cow::Owned(text.to_owned()))),
            AttributeKind::Number => parse_number(attribute, text),
            AttributeKind::Moment => {
                let advice = "write a moment as RFC 3339, such as 2030-01-31T00:00:00Z";
                let moment = Timestamp::parse_rfc3339(text);
                moment.map(Value::moment).ok_or_else(|| Violation::invalid(attribute, text, advice))
            }
        }
    }
}

/// A number that fits no id is still a number: it only never matches.
fn parse_number(attribute: &str, text: &str) -> Result<Value<'static>, Violation> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Violation::invalid(attribute, text, "write a whole number"));
    }
    let beyond = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    Ok(Value::Number(text.parse().unwrap_or(beyond)))
}
