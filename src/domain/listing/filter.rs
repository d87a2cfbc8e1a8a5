//! Filters: an operator and an operand for one attribute.

use std::cmp::Ordering;

use crate::domain::connector::Connector;
use crate::domain::listing::Attribute;
use crate::domain::listing::pattern::{Budget, Wildcard, is_like, parse_pattern};
use crate::domain::violation::Violation;

/// One condition on one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    attribute: Attribute,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Unset,
    Set,
    Text(Comparison, String),
    Number(Comparison, i128),
    TextIn(Vec<String>),
    TextNotIn(Vec<String>),
    NumberIn(Vec<i128>),
    NumberNotIn(Vec<i128>),
    Like(Vec<Wildcard>),
    NotLike(Vec<Wildcard>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Differ,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Compare(Comparison),
    In,
    NotIn,
    Like,
    NotLike,
}

/// Longest first: `>=5` is never `>` and then `=5`.
const OPERATORS: [(&str, Operator); 10] = [
    ("!><", Operator::NotIn),
    ("!=", Operator::Compare(Comparison::Differ)),
    ("!~", Operator::NotLike),
    ("><", Operator::In),
    (">=", Operator::Compare(Comparison::GreaterOrEqual)),
    ("<=", Operator::Compare(Comparison::LessOrEqual)),
    (">", Operator::Compare(Comparison::Greater)),
    ("<", Operator::Compare(Comparison::Less)),
    ("~", Operator::Like),
    ("=", Operator::Compare(Comparison::Equal)),
];

impl Filter {
    /// Parses the value of a filter parameter: an operator or none, then the operand.
    ///
    /// # Errors
    /// An id that is no number, a pattern on an id, or a pattern that is too long.
    pub fn parse(attribute: Attribute, value: &str) -> Result<Self, Violation> {
        let (operator, operand) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| value.strip_prefix(sign).map(|operand| (*operator, operand)))
            .unwrap_or((Operator::Compare(Comparison::Equal), value));
        let is_number = attribute == Attribute::Id;
        let numbers = || operand.split('|').map(parse_id).collect::<Result<Vec<i128>, Violation>>();
        let texts = || operand.split('|').map(str::to_owned).collect::<Vec<String>>();
        let condition = match operator {
            Operator::Compare(Comparison::Equal) if operand.is_empty() => Condition::Unset,
            Operator::Compare(Comparison::Differ) if operand.is_empty() => Condition::Set,
            Operator::Compare(comparison) if is_number => Condition::Number(comparison, parse_id(operand)?),
            Operator::Compare(comparison) => Condition::Text(comparison, operand.to_owned()),
            Operator::In if is_number => Condition::NumberIn(numbers()?),
            Operator::In => Condition::TextIn(texts()),
            Operator::NotIn if is_number => Condition::NumberNotIn(numbers()?),
            Operator::NotIn => Condition::TextNotIn(texts()),
            Operator::Like | Operator::NotLike if is_number => {
                return Err(Violation::invalid(
                    "id",
                    value,
                    "an id is compared as a number, not with a pattern",
                ));
            }
            Operator::Like => Condition::Like(parse_pattern(attribute.name(), operand)?),
            Operator::NotLike => Condition::NotLike(parse_pattern(attribute.name(), operand)?),
        };
        Ok(Self { attribute, condition })
    }

    /// Whether the connector is to be listed. Matching a pattern takes its steps off the budget.
    pub fn holds(&self, connector: &Connector, budget: &Budget) -> bool {
        let text = self.attribute.text(connector);
        let id = i128::from(connector.id);
        match &self.condition {
            Condition::Unset => text.is_none() && self.attribute != Attribute::Id,
            Condition::Set => text.is_some() || self.attribute == Attribute::Id,
            Condition::Text(Comparison::Differ, operand) => text != Some(operand),
            Condition::Text(comparison, operand) => {
                text.is_some_and(|text| comparison.holds(text.cmp(operand)))
            }
            Condition::Number(comparison, operand) => comparison.holds(id.cmp(operand)),
            Condition::TextIn(items) => text.is_some_and(|text| items.iter().any(|item| item == text)),
            Condition::TextNotIn(items) => !text.is_some_and(|text| items.iter().any(|item| item == text)),
            Condition::NumberIn(items) => items.contains(&id),
            Condition::NumberNotIn(items) => !items.contains(&id),
            Condition::Like(pattern) => text.is_some_and(|text| is_like(pattern, text, budget)),
            Condition::NotLike(pattern) => !text.is_some_and(|text| is_like(pattern, text, budget)),
        }
    }
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Differ => ordering.is_ne(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
        }
    }
}

/// An id in a filter. A number that fits no id is still a number: it only never matches.
fn parse_id(text: &str) -> Result<i128, Violation> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Violation::invalid("id", text, "write a whole number"));
    }
    let beyond = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    Ok(text.parse().unwrap_or(beyond))
}
