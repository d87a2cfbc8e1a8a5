//! Which connectors a list shows: filters, order and pages, as the API's query parameters say it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::domain::connector::Connector;
use crate::domain::violation::{Reason, Violation, echo};

/// Longest pattern of a `~` filter, in characters: matching costs pattern times text.
pub const PATTERN_MAX_CHARACTERS: usize = 255;
/// Most filters in one request.
pub const FILTERS_MAX: usize = 32;

/// An attribute that lists can filter and order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The number.
    Id,
    /// The unique name.
    Name,
    /// The endpoint.
    Url,
    /// The proxy, in its masked form.
    UrlProxy,
    /// The provider's name.
    Provider,
    /// The region.
    Region,
    /// The public half of the credentials.
    AccessKey,
}

impl Attribute {
    /// Every attribute that lists can filter and order by.
    pub const ALL: [Attribute; 7] = [
        Attribute::Id,
        Attribute::Name,
        Attribute::Url,
        Attribute::UrlProxy,
        Attribute::Provider,
        Attribute::Region,
        Attribute::AccessKey,
    ];

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Attribute::Id => "id",
            Attribute::Name => "name",
            Attribute::Url => "url",
            Attribute::UrlProxy => "url_proxy",
            Attribute::Provider => "provider",
            Attribute::Region => "region",
            Attribute::AccessKey => "access_key",
        }
    }

    /// The attribute of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.name() == name)
    }

    /// The text that filters and orders see; `None` where unset, and for the id.
    fn text(self, connector: &Connector) -> Option<&str> {
        let settings = &connector.settings;
        match self {
            Attribute::Id => None,
            Attribute::Name => Some(connector.name.as_str()),
            Attribute::Url => settings.url.as_deref(),
            Attribute::UrlProxy => settings.url_proxy.as_ref().map(|text| text.masked()),
            Attribute::Provider => Some(settings.provider.name()),
            Attribute::Region => settings.region.as_deref(),
            Attribute::AccessKey => settings.access_key.as_deref(),
        }
    }
}

/// Which slice of a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// At most so many items.
    pub limit: usize,
    /// After so many left out.
    pub offset: usize,
}

impl Page {
    /// Parses `limit` and `offset`; without `limit`, the maximum is listed.
    ///
    /// # Errors
    /// Each value that is not a number from 0 on, or a limit over the maximum.
    pub fn parse(
        limit: Option<&str>,
        offset: Option<&str>,
        limit_max: usize,
    ) -> Result<Self, Vec<Violation>> {
        let mut violations = Vec::new();
        let mut number = |attribute: &str, text: Option<&str>, default: usize, maximum: usize| match text {
            None => default,
            Some(text) => parse_number(attribute, text, maximum).unwrap_or_else(|violation| {
                violations.push(violation);
                default
            }),
        };
        let page = Self {
            limit: number("limit", limit, limit_max, limit_max),
            offset: number("offset", offset, 0, usize::MAX),
        };
        if violations.is_empty() { Ok(page) } else { Err(violations) }
    }
}

fn parse_number(attribute: &str, text: &str, maximum: usize) -> Result<usize, Violation> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Violation::invalid(attribute, text, "write a whole number"));
    }
    if is_negative && digits.bytes().any(|byte| byte != b'0') {
        let reason = Reason::GreaterThanOrEqualTo { value: echo(text), count: 0 };
        return Err(Violation::new(attribute, reason));
    }
    match digits.parse() {
        Ok(number) if number <= maximum => Ok(number),
        Ok(_) | Err(_) => {
            let reason = Reason::LessThanOrEqualTo { value: echo(text), count: maximum as u64 };
            Err(Violation::new(attribute, reason))
        }
    }
}

/// One part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    attribute: Attribute,
    is_descending: bool,
}

impl SortKey {
    /// Parses one `sort_by` value: keys separated by `|` or `,`, each with an optional `:asc` or `:desc`.
    ///
    /// # Errors
    /// The first part that names no attribute or no direction.
    pub fn parse_list(value: &str) -> Result<Vec<Self>, Violation> {
        if value.is_empty() {
            return Ok(Vec::new());
        }
        value.split(['|', ',']).map(Self::parse).collect()
    }

    /// What it orders by.
    pub fn attribute(self) -> Attribute {
        self.attribute
    }

    fn parse(part: &str) -> Result<Self, Violation> {
        let (name, direction) = part.split_once(':').unwrap_or((part, "asc"));
        let is_descending = match direction {
            "asc" => false,
            "desc" => true,
            _ => return Err(Violation::invalid("sort_by", part, "a direction is :asc or :desc")),
        };
        match Attribute::parse(name) {
            Some(attribute) => Ok(Self { attribute, is_descending }),
            None => {
                let names: Vec<&str> = Attribute::ALL.iter().map(|attribute| attribute.name()).collect();
                Err(Violation::invalid("sort_by", part, format!("order by {}", names.join(", "))))
            }
        }
    }

    fn compare(self, left: &Connector, right: &Connector) -> Ordering {
        let ordering = match self.attribute {
            Attribute::Id => left.id.cmp(&right.id),
            Attribute::Name
            | Attribute::Url
            | Attribute::UrlProxy
            | Attribute::Provider
            | Attribute::Region
            | Attribute::AccessKey => self.attribute.text(left).cmp(&self.attribute.text(right)),
        };
        if self.is_descending { ordering.reverse() } else { ordering }
    }
}

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
            Operator::Like => Condition::Like(parse_pattern(attribute, operand)?),
            Operator::NotLike => Condition::NotLike(parse_pattern(attribute, operand)?),
        };
        Ok(Self { attribute, condition })
    }

    /// Whether the connector is to be listed. Matching a pattern takes its steps off the budget.
    fn holds(&self, connector: &Connector, budget: &Budget) -> bool {
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

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wildcard {
    AnyRun,
    AnyOne,
    Literal(char),
}

fn parse_pattern(attribute: Attribute, text: &str) -> Result<Vec<Wildcard>, Violation> {
    if text.chars().count() > PATTERN_MAX_CHARACTERS {
        return Err(Violation::new(attribute.name(), Reason::TooLong(PATTERN_MAX_CHARACTERS as u64)));
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
struct Budget(Cell<u64>);

impl Budget {
    /// Takes a step; `false` when there is none left.
    fn step(&self) -> bool {
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
fn is_like(pattern: &[Wildcard], text: &str, budget: &Budget) -> bool {
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

/// Everything that a list request asks for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// All of them have to hold.
    pub filters: Vec<Filter>,
    /// Most significant first; ties are in id order.
    pub order: Vec<SortKey>,
    /// The slice to show.
    pub page: Page,
}

impl ListQuery {
    /// Picks from connectors in id order. Returns how many match, and the page of them.
    ///
    /// # Errors
    /// The patterns would take too many steps.
    pub fn select<'a>(
        &self,
        connectors: impl Iterator<Item = &'a Arc<Connector>>,
    ) -> Result<(usize, Vec<Arc<Connector>>), TooCostly> {
        let budget = Budget(Cell::new(PATTERN_STEPS_MAX));
        let selected = self.select_within(connectors, &budget);
        if budget.0.get() == 0 { Err(TooCostly) } else { Ok(selected) }
    }

    fn select_within<'a>(
        &self,
        connectors: impl Iterator<Item = &'a Arc<Connector>>,
        budget: &Budget,
    ) -> (usize, Vec<Arc<Connector>>) {
        let is_listed =
            |connector: &&Arc<Connector>| self.filters.iter().all(|filter| filter.holds(connector, budget));
        let matching = connectors.take_while(|_| budget.0.get() > 0).filter(is_listed);
        if self.order.is_empty() {
            let mut count = 0;
            let mut shown = Vec::new();
            for connector in matching {
                if count >= self.page.offset && shown.len() < self.page.limit {
                    shown.push(Arc::clone(connector));
                }
                count += 1;
            }
            return (count, shown);
        }
        let mut ordered: Vec<&Arc<Connector>> = matching.collect();
        // Stable, and the input is in id order: ties stay in id order.
        ordered.sort_by(|left, right| {
            let orderings = self.order.iter().map(|key| key.compare(left, right));
            orderings.fold(Ordering::Equal, Ordering::then)
        });
        let shown = ordered.iter().skip(self.page.offset).take(self.page.limit);
        (ordered.len(), shown.map(|connector| Arc::clone(connector)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::connector::{ConnectorName, Settings};
    use crate::domain::masked::MaskedText;
    use crate::domain::provider::Provider;

    fn connector(id: u64, name: &str, region: Option<&str>) -> Arc<Connector> {
        let settings = Settings {
            url: Some("https://s3".into()),
            url_proxy: Some(MaskedText::proxy("http://u:hunter2@h")),
            provider: Provider::GenericS3,
            region: region.map(str::to_owned),
            access_key: None,
            secret_key: None,
            options: None,
        };
        Arc::new(Connector { id, name: ConnectorName::parse(name).expect("valid"), settings })
    }

    fn names(filters: &[(&str, &str)], order: &str) -> Vec<String> {
        let all = [
            connector(1, "Alpha", Some("eu")),
            connector(2, "beta", None),
            connector(3, "100%_a", Some("us")),
            connector(4, "alpha 2", Some("eu")),
        ];
        let filters = filters.iter().map(|(name, value)| {
            Filter::parse(Attribute::parse(name).expect("known"), value).expect("valid")
        });
        let query = ListQuery {
            filters: filters.collect(),
            order: SortKey::parse_list(order).expect("valid"),
            page: Page { limit: 100, offset: 0 },
        };
        let (count, shown) = query.select(all.iter()).expect("cheap");
        assert_eq!(count, shown.len());
        shown.iter().map(|connector| connector.id.to_string()).collect()
    }

    #[test]
    fn filters() {
        let cases: &[(&str, &str, &str)] = &[
            ("name", "beta", "2"),
            ("name", "=beta", "2"),
            ("name", "Beta", ""),
            ("name", "!=beta", "1 3 4"),
            ("name", ">a", "2 4"),
            ("name", ">=beta", "2"),
            ("name", "<B", "1 3"),
            ("name", "><beta|Alpha", "1 2"),
            ("name", "!><beta|Alpha", "3 4"),
            ("name", "~ALPHA%", "1 4"),
            ("name", "~_eta", "2"),
            ("name", "~%\\%\\_%", "3"),
            ("name", "~%", "1 2 3 4"),
            ("name", "~", ""),
            ("name", "~%a%a%", "1 4"),
            ("name", "!~alpha%", "2 3"),
            ("region", "", "2"),
            ("region", "=", "2"),
            ("region", "!=", "1 3 4"),
            ("region", "!=eu", "2 3"),
            ("region", "!><eu", "2 3"),
            ("region", "!~e%", "2 3"),
            ("region", "~%", "1 3 4"),
            ("region", ">", "1 3 4"),
            ("id", ">=3", "3 4"),
            ("id", "><1|4", "1 4"),
            ("id", "!><1|4", "2 3"),
            ("id", "99999999999999999999999999999999999999999", ""),
            ("id", "!=", "1 2 3 4"),
            ("url_proxy", "~%hunter2%", ""),
            ("url_proxy", "http://u:***@h", "1 2 3 4"),
        ];
        for (attribute, value, expected) in cases {
            assert_eq!(names(&[(attribute, value)], "").join(" "), *expected, "{attribute} {value}");
        }
        assert_eq!(names(&[("region", "eu"), ("name", "~%2"), ("name", "!=x")], ""), ["4"]);
    }

    #[test]
    fn orders() {
        assert_eq!(names(&[], "region|name:desc"), ["2", "4", "1", "3"]);
        assert_eq!(names(&[], "region:desc,id:desc"), ["3", "4", "1", "2"]);
        assert_eq!(names(&[], "provider"), ["1", "2", "3", "4"]);
        for value in ["secret_key", "name:up", "options", "|", "name|", "name:desc:asc"] {
            assert!(SortKey::parse_list(value).is_err(), "{value}");
        }
    }

    #[test]
    fn costly_patterns_are_given_up() {
        let mut long = Connector::clone(&connector(1, "a", None));
        long.settings.region = Some("a".repeat(1024));
        let long = Arc::new(long);
        let all: Vec<Arc<Connector>> = std::iter::repeat_n(long, 2000).collect();
        let pattern = format!("~%{}b", "a".repeat(200));
        let filter = Filter::parse(Attribute::Region, &pattern).expect("valid");
        let query =
            ListQuery { filters: vec![filter], order: Vec::new(), page: Page { limit: 1, offset: 0 } };
        assert_eq!(query.select(all.iter()).map(|(count, _)| count), Err(TooCostly));
        assert_eq!(query.select(all.iter().take(100)).map(|(count, _)| count), Ok(0));
    }

    #[test]
    fn refused_filters_and_pages() {
        for value in ["x", "~1", "!~1", "><1|", "=1.5", ">", "1|2"] {
            assert!(Filter::parse(Attribute::Id, value).is_err(), "{value}");
        }
        type Case<'a> = (Option<&'a str>, Option<&'a str>, Result<(usize, usize), &'a str>);
        let pages: &[Case<'_>] = &[
            (None, None, Ok((10, 0))),
            (Some("0"), Some("5"), Ok((0, 5))),
            (Some("-0"), None, Ok((0, 0))),
            (Some("-1"), None, Err("greater_than_or_equal_to")),
            (Some("11"), None, Err("less_than_or_equal_to")),
            (Some("99999999999999999999999"), None, Err("less_than_or_equal_to")),
            (Some("1.5"), None, Err("invalid")),
            (Some(""), None, Err("invalid")),
            (None, Some("+1"), Err("invalid")),
        ];
        for (limit, offset, expected) in pages {
            let actual = Page::parse(*limit, *offset, 10);
            let actual =
                actual.map(|page| (page.limit, page.offset)).map_err(|violations| violations[0].code());
            assert_eq!(actual, *expected, "{limit:?} {offset:?}");
        }
    }
}
