//! Filters: an operator and an operand for one attribute.

use std::cmp::Ordering;

use crate::domain::listing::attribute::{Attribute, AttributeKind, Value};
use crate::domain::listing::pattern::{Budget, Wildcard, is_like, parse_pattern};
use crate::domain::violation::Violation;

/// One condition on one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter<A> {
    attribute: A,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Unset,
    Set,
    Compare(Comparison, Value<'static>),
    In(Vec<Value<'static>>),
    NotIn(Vec<Value<'static>>),
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

impl<A: Attribute> Filter<A> {
    /// Parses the value of a filter parameter: an operator or none, then the operand.
    ///
    /// # Errors
    /// A number that is none, a moment that is none, a pattern on either, a pattern that is too long, or a word that the
    /// attribute cannot be.
    pub fn parse(attribute: A, value: &str) -> Result<Self, Violation> {
        let (operator, operand) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| value.strip_prefix(sign).map(|operand| (*operator, operand)))
            .unwrap_or((Operator::Compare(Comparison::Equal), value));
        let parse = |text: &str| attribute.kind().parse(attribute.name(), text);
        let equal = |text: &str| match attribute.words() {
            Some(words) if !words.contains(&text) => {
                let advice = format!("write one of {}", words.join(", "));
                Err(Violation::invalid(attribute.name(), text, advice))
            }
            Some(_) | None => parse(text),
        };
        let items = || operand.split('|').map(equal).collect::<Result<Vec<Value<'static>>, Violation>>();
        let pattern = || {
            let what = match attribute.kind() {
                AttributeKind::Text => return parse_pattern(attribute.name(), operand),
                AttributeKind::Number => {
                    "an id or another number is compared as a number, not with a pattern"
                }
                AttributeKind::Moment => "a moment is compared as such, not with a pattern",
            };
            Err(Violation::invalid(attribute.name(), value, what))
        };
        let condition = match operator {
            Operator::Compare(Comparison::Equal) if operand.is_empty() => Condition::Unset,
            Operator::Compare(Comparison::Differ) if operand.is_empty() => Condition::Set,
            Operator::Compare(comparison @ (Comparison::Equal | Comparison::Differ)) => {
                Condition::Compare(comparison, equal(operand)?)
            }
            Operator::Compare(comparison) => Condition::Compare(comparison, parse(operand)?),
            Operator::In => Condition::In(items()?),
            Operator::NotIn => Condition::NotIn(items()?),
            Operator::Like => Condition::Like(pattern()?),
            Operator::NotLike => Condition::NotLike(pattern()?),
        };
        Ok(Self { attribute, condition })
    }

    /// Whether the record is to be listed. Matching a pattern takes its steps off the budget.
    pub fn holds(&self, record: &A::Record, budget: &Budget) -> bool {
        let value = self.attribute.value(record);
        let is_set = value != Value::Unset;
        let matches = |pattern: &[Wildcard]| match &value {
            Value::Text(text) => is_like(pattern, text, budget),
            Value::Unset | Value::Number(_) => false,
        };
        match &self.condition {
            Condition::Unset => !is_set,
            Condition::Set => is_set,
            Condition::Compare(Comparison::Differ, operand) => value != *operand,
            Condition::Compare(comparison, operand) => is_set && comparison.holds(value.cmp(operand)),
            Condition::In(items) => items.contains(&value),
            Condition::NotIn(items) => !items.contains(&value),
            Condition::Like(pattern) => matches(pattern),
            Condition::NotLike(pattern) => !matches(pattern),
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
