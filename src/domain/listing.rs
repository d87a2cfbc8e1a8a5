//! Which records a list shows: filters, order and pages, as the API's query parameters say it.

mod attribute;
mod audit_attribute;
mod connector_attribute;
mod filter;
mod pattern;

use std::cmp::Ordering;
use std::sync::Arc;

pub use self::attribute::{Attribute, AttributeKind};
pub use self::audit_attribute::AuditAttribute;
pub use self::connector_attribute::ConnectorAttribute;
pub use self::filter::Filter;
use self::pattern::Budget;
pub use self::pattern::TooCostly;
use crate::domain::violation::{Reason, Violation, echo};

/// Most filters in one request.
pub const FILTERS_MAX: usize = 32;

/// How many records match, and the page of them.
pub type Selected<R> = (usize, Vec<Arc<R>>);

/// Everything that a list request asks for.
#[derive(Debug, Clone)]
pub struct ListQuery<A> {
    /// All of them have to hold.
    pub filters: Vec<Filter<A>>,
    /// Most significant first; ties stay in the order that the records come in.
    pub order: Vec<SortKey<A>>,
    /// The slice to show.
    pub page: Page,
}

impl<A: Attribute> ListQuery<A> {
    /// Picks from records. Returns how many match, and the page of them.
    ///
    /// # Errors
    /// The patterns would take too many steps.
    pub fn select<'a>(
        &self,
        records: impl Iterator<Item = &'a Arc<A::Record>>,
    ) -> Result<Selected<A::Record>, TooCostly> {
        let budget = Budget::new();
        let selected = self.select_within(records, &budget);
        if budget.is_spent() { Err(TooCostly) } else { Ok(selected) }
    }

    fn select_within<'a>(
        &self,
        records: impl Iterator<Item = &'a Arc<A::Record>>,
        budget: &Budget,
    ) -> Selected<A::Record> {
        let is_listed =
            |record: &&Arc<A::Record>| self.filters.iter().all(|filter| filter.holds(record, budget));
        let matching = records.take_while(|_| !budget.is_spent()).filter(is_listed);
        if self.order.is_empty() {
            let mut count = 0;
            let mut shown = Vec::new();
            for record in matching {
                if count >= self.page.offset && shown.len() < self.page.limit {
                    shown.push(Arc::clone(record));
                }
                count += 1;
            }
            return (count, shown);
        }
        let mut ordered: Vec<&Arc<A::Record>> = matching.collect();
        // Stable: ties stay in the order of the input.
        ordered.sort_by(|left, right| {
            let orderings = self.order.iter().map(|key| key.compare(left, right));
            orderings.fold(Ordering::Equal, Ordering::then)
        });
        let shown = ordered.iter().skip(self.page.offset).take(self.page.limit);
        (ordered.len(), shown.map(|record| Arc::clone(record)).collect())
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
pub struct SortKey<A> {
    attribute: A,
    is_descending: bool,
}

impl<A: Attribute> SortKey<A> {
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
    pub fn attribute(self) -> A {
        self.attribute
    }

    fn parse(part: &str) -> Result<Self, Violation> {
        let (name, direction) = part.split_once(':').unwrap_or((part, "asc"));
        let is_descending = match direction {
            "asc" => false,
            "desc" => true,
            _ => return Err(Violation::invalid("sort_by", part, "a direction is :asc or :desc")),
        };
        match A::parse(name) {
            Some(attribute) => Ok(Self { attribute, is_descending }),
            None => {
                let names: Vec<&str> = A::ALL.iter().map(|attribute| attribute.name()).collect();
                Err(Violation::invalid("sort_by", part, format!("order by {}", names.join(", "))))
            }
        }
    }

    fn compare(self, left: &A::Record, right: &A::Record) -> Ordering {
        let ordering = self.attribute.value(left).cmp(&self.attribute.value(right));
        if self.is_descending { ordering.reverse() } else { ordering }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::connector::{Connector, ConnectorName, Settings};
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
        let name = ConnectorName::parse(name).expect("valid");
        Arc::new(Connector { id, name, settings, secret_revision: 0 })
    }

    fn names(filters: &[(&str, &str)], order: &str) -> Vec<String> {
        let all = [
            connector(1, "Alpha", Some("eu")),
            connector(2, "beta", None),
            connector(3, "100%_a", Some("us")),
            connector(4, "alpha 2", Some("eu")),
        ];
        let filters = filters.iter().map(|(name, value)| {
            Filter::parse(ConnectorAttribute::parse(name).expect("known"), value).expect("valid")
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
            assert!(SortKey::<ConnectorAttribute>::parse_list(value).is_err(), "{value}");
        }
    }

    #[test]
    fn costly_patterns_are_given_up() {
        let mut long = Connector::clone(&connector(1, "a", None));
        long.settings.region = Some("a".repeat(1024));
        let long = Arc::new(long);
        let all: Vec<Arc<Connector>> = std::iter::repeat_n(long, 2000).collect();
        let pattern = format!("~%{}b", "a".repeat(200));
        let filter = Filter::parse(ConnectorAttribute::Region, &pattern).expect("valid");
        let query =
            ListQuery { filters: vec![filter], order: Vec::new(), page: Page { limit: 1, offset: 0 } };
        assert_eq!(query.select(all.iter()).map(|(count, _)| count), Err(TooCostly));
        assert_eq!(query.select(all.iter().take(100)).map(|(count, _)| count), Ok(0));
    }

    #[test]
    fn refused_filters_and_pages() {
        for value in ["x", "~1", "!~1", "><1|", "=1.5", ">", "1|2"] {
            assert!(Filter::parse(ConnectorAttribute::Id, value).is_err(), "{value}");
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
