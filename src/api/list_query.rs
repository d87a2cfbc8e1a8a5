//! From query parameters to a [`ListQuery`]: the vocabulary that all lists share.

use crate::api::error::ApiError;
use crate::api::request::{Query, REVEAL};
use crate::api::routes::Parameter;
use crate::app::App;
use crate::domain::listing::{Attribute, FILTERS_MAX, Filter, ListQuery, Page, SortKey, TooCostly};
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

const fn moment_filter(name: &'static str) -> Parameter {
    Parameter {
        name,
        is_integer: false,
        is_required: false,
        description: "Filter by a moment as RFC 3339; the value may begin with =, !=, >, >=, <, <=, >< or !>< (items separated by |).",
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
    &REVEAL,
];

/// What a list of audit events takes.
pub const AUDIT_EVENT_LIST: &[&Parameter] = &[
    &LIMIT,
    &OFFSET,
    &SORT_BY,
    &filter("id"),
    &filter("kind"),
    &moment_filter("first_at"),
    &moment_filter("last_at"),
    &filter("count"),
    &filter("caller"),
    &filter("user_name"),
    &filter("api_key_name"),
    &filter("client"),
    &filter("request_id"),
    &filter("subject_kind"),
    &filter("subject_id"),
    &filter("subject_name"),
    &filter("secret_revision"),
    &filter("attributes"),
];

/// Lists of more records are made off the asynchronous threads.
const LISTED_IN_PLACE_MAX: usize = 2_000;

/// Runs what picks from so many records: at once, or in turn where they are many.
///
/// # Errors
/// No turn came up in time, or the patterns would take too many steps.
pub async fn select<T: Send + 'static>(
    app: &App,
    total: usize,
    select: impl FnOnce() -> Result<T, TooCostly> + Send + 'static,
) -> Result<T, ApiError> {
    let selected =
        if total <= LISTED_IN_PLACE_MAX { select() } else { app.listing_turns.run(select).await? };
    Ok(selected?)
}

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

/// Parses filters, order and page of a list.
///
/// # Errors
/// Every problem with them.
pub fn parse_list<A: Attribute>(query: &Query, limit_max: usize) -> Result<ListQuery<A>, Vec<Violation>> {
    let mut violations = Vec::new();
    let page = parse_page(query, limit_max).map_err(|found| violations.extend(found));
    let mut order: Vec<SortKey<A>> = Vec::new();
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
        let Some(attribute) = A::parse(name) else { continue };
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
