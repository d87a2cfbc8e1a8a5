//! From query parameters to a [`ListQuery`]: the vocabulary that all lists share.

use crate::api::request::Query;
use crate::api::routes::Parameter;
use crate::domain::listing::{Attribute, FILTERS_MAX, Filter, ListQuery, Page, SortKey};
use crate::domain::violation::{Reason, Violation};

/// `limit`.
pub const LIMIT: Parameter = Parameter {
    name: "limit",
    is_integer: true,
    is_required: false,
    description: "The number of items to display.",
};
/// `offset`.
pub const OFFSET: Parameter = Parameter {
    name: "offset",
    is_integer: true,
    is_required: false,
    description: "The number of items to skip.",
};
/// `sort_by`.
pub const SORT_BY: Parameter = Parameter {
    name: "sort_by",
    is_integer: false,
    is_required: false,
    description: "Attributes to order by, separated by |, each with an optional :asc (default) or :desc.",
};

const fn filter(name: &'static str) -> Parameter {
    Parameter {
        name,
        is_integer: false,
        is_required: false,
        description: "Filter; the value may begin with =, !=, >, >=, <, <=, >< or !>< (items separated by |), ~ or !~ (pattern with % and _).",
    }
}

/// What a list of connectors takes.
pub const CONNECTOR_LIST: &[&Parameter] = &[
    &LIMIT,
    &OFFSET,
    &SORT_BY,
    &filter("id"),
    &filter("name"),
    &filter("url"),
    &filter("url_proxy"),
    &filter("provider"),
    &filter("region"),
    &filter("access_key"),
];

/// Parses `limit` and `offset`.
///
/// # Errors
/// Every problem with them.
pub fn parse_page(query: &Query, limit_max: usize) -> Result<Page, Vec<Violation>> {
    match (query.one("limit"), query.one("offset")) {
        (Ok(limit), Ok(offset)) => Page::parse(limit, offset, limit_max),
        (limit, offset) => Err([limit, offset].into_iter().filter_map(Result::err).collect()),
    }
}

/// Parses filters, order and page of a list of connectors.
///
/// # Errors
/// Every problem with them.
pub fn parse_connector_list(query: &Query, limit_max: usize) -> Result<ListQuery, Vec<Violation>> {
    let mut violations = Vec::new();
    let page = parse_page(query, limit_max).map_err(|found| violations.extend(found));
    let mut order: Vec<SortKey> = Vec::new();
    for value in query.all("sort_by") {
        match SortKey::parse_list(value) {
            // A later key for the same attribute would change nothing.
            Ok(keys) => keys.into_iter().for_each(|key| {
                if order.iter().all(|known| known.attribute() != key.attribute()) {
                    order.push(key);
                }
            }),
            Err(violation) => violations.push(violation),
        }
    }
    let mut filters = Vec::new();
    for (name, value) in query.pairs() {
        let Some(attribute) = Attribute::parse(name) else { continue };
        match Filter::parse(attribute, value) {
            Ok(filter) => filters.push(filter),
            Err(violation) => violations.push(violation),
        }
    }
    if filters.len() > FILTERS_MAX {
        let mut violation = Violation::new("base", Reason::TooLong(FILTERS_MAX as u64));
        violation.advice = format!("send at most {FILTERS_MAX} filters");
        violations.push(violation);
    }
    match page {
        Ok(page) if violations.is_empty() => Ok(ListQuery { filters, order, page }),
        Ok(_) | Err(()) => Err(violations),
    }
}
