//! What the API document says of bodies and parameters beyond their types: the rules that a schema can tell.
//!
//! What it cannot tell (a name that is taken, a rule that depends on what is saved) stays with the handlers' 422.

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::api::connectors::ConnectorBody;
use crate::api::routes::{Parameter, Route};
use crate::domain::connector::NAME_MAX_CHARACTERS;
use crate::domain::listing::{Attribute, AttributeKind, AuditAttribute, ConnectorAttribute};
use crate::domain::provider::Provider;
use crate::domain::scope::ALL_RIGHTS;

/// Names: no space at either end, no control characters, not all digits, not `-`, `.` or `..`.
const NAME_PATTERN: &str =
    r"^(?![0-9]+$)(?!(?:-|\.\.?)$)[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$";
/// What an attribute that is a number is compared with.
const NUMBER: &str = "-?[0-9]+";
/// The same for a moment: RFC 3339 without days that only some months have.
const MOMENT: &str = r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z";
const HOST_LABEL_PATTERN: &str = "^[0-9A-Za-z-]{0,63}$";

/// A connector that is made: it needs a name, and an endpoint where its provider has none.
pub fn created_connector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = saved_connector(generator);
    schema.insert("description".to_owned(), "A cloud connector as it is created.".into());
    schema.insert("required".to_owned(), json!(["name"]));
    schema.insert("anyOf".to_owned(), endpoint_rules());
    named(generator, "CloudConnectorNew", schema)
}

/// A connector that is changed.
pub fn changed_connector(generator: &mut SchemaGenerator) -> Schema {
    let schema = saved_connector(generator);
    named(generator, "CloudConnectorBody", schema)
}

/// A connector that is tested: no name is needed, and none is checked.
pub fn tested_connector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = connector(generator);
    schema
        .insert("description".to_owned(), "A cloud connector as it is tested; it need not be saved.".into());
    let properties = properties_of(&mut schema);
    properties["name"] = json!({ "type": ["string", "null"], "description": "Not needed, and not checked." });
    properties["id"] = json!({
        "type": ["number", "null"],
        "description": "ID of a saved connector, for what is left out; one that names none is ignored.",
    });
    properties["probe_buckets"]["items"]["pattern"] = r"^(?!\.\.?$)[^/\x00-\x1f\x7f-\x9f]+$".into();
    let mut rules = endpoint_rules();
    rules.as_array_mut().expect("a list").push(json!({ "required": ["id"] }));
    schema.insert("anyOf".to_owned(), rules);
    named(generator, "CloudConnectorTest", schema)
}

fn saved_connector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = connector(generator);
    let properties = properties_of(&mut schema);
    properties.as_object_mut().expect("an object").remove("probe_buckets");
    properties["id"] = json!({ "readOnly": true, "description": "Ignored." });
    let name = &mut properties["name"];
    name["type"] = "string".into();
    name["minLength"] = 1.into();
    name["maxLength"] = NAME_MAX_CHARACTERS.into();
    name["pattern"] = NAME_PATTERN.into();
    schema
}

fn connector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = ConnectorBody::json_schema(generator);
    let providers = Provider::ALL.iter().map(|provider| Value::from(provider.name()));
    // An empty text clears, as null does.
    let values: Vec<Value> = providers.chain([Value::from(""), Value::Null]).collect();
    properties_of(&mut schema)["provider"]["enum"] = values.into();
    schema
}

/// Each way for a connector to have an endpoint: a url, or a provider whose own is known.
fn endpoint_rules() -> Value {
    let known = |fits: fn(Provider) -> bool| -> Vec<&str> {
        let providers = Provider::ALL.iter().filter(|provider| fits(**provider));
        providers.map(|provider| provider.name()).collect()
    };
    let by_provider = |fits, attribute: &str| {
        let mut properties = json!({ "provider": { "enum": known(fits) } });
        properties[attribute] = json!({ "pattern": HOST_LABEL_PATTERN });
        json!({ "required": ["provider"], "properties": properties })
    };
    let plain = known(|provider| {
        provider.has_well_known_endpoint()
            && !provider.has_region_in_endpoint()
            && provider != Provider::Azure
    });
    json!([
        { "required": ["url"], "properties": { "url": { "type": "string", "minLength": 1 } } },
        { "required": ["provider"], "properties": { "provider": { "enum": plain } } },
        by_provider(Provider::has_region_in_endpoint, "region"),
        by_provider(|provider| provider == Provider::Azure, "access_key"),
    ])
}

/// Pairs of controller and action that grant something; an explicit right is granted by its own two names alone.
pub fn add_scope_rules(schema: &mut Schema) {
    let ordinary = || ALL_RIGHTS.iter().filter(|right| !right.is_explicit);
    let mut controllers: Vec<&str> = ALL_RIGHTS.iter().map(|right| right.controller).collect();
    controllers.dedup();
    let mut rules: Vec<Value> = controllers
        .iter()
        .map(|controller| {
            let own = ALL_RIGHTS.iter().filter(|right| right.controller == *controller);
            let actions: Vec<&str> = own.map(|right| right.action).chain(["*"]).collect();
            json!({ "properties": { "controller": { "const": controller }, "action": { "enum": actions } } })
        })
        .collect();
    let mut actions: Vec<&str> = ordinary().map(|right| right.action).chain(["*"]).collect();
    actions.sort_unstable();
    actions.dedup();
    rules.push(json!({ "properties": { "controller": { "const": "*" }, "action": { "enum": actions } } }));
    schema.insert("anyOf".to_owned(), rules.into());
}

/// A moment; an empty text clears, as null does.
pub fn moment_or_nothing(_generator: &mut SchemaGenerator) -> Schema {
    let moment = json!({ "type": "string", "format": "date-time" });
    schemars::json_schema!({ "anyOf": [moment, { "enum": ["", null] }] })
}

/// The schema of a query parameter.
pub fn of_parameter(route: &Route, parameter: &Parameter, list_items_max: usize) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match (parameter.name, parameter.is_integer) {
        ("limit", _) => json!({ "type": "integer", "minimum": 0, "maximum": list_items_max }),
        ("offset", _) => json!({ "type": "integer", "minimum": 0, "maximum": usize::MAX }),
        (_, true) => json!({ "type": "integer", "minimum": 0 }),
        ("sort_by", false) => {
            // A list is ordered by what it is filtered by.
            let names = route.query.iter().map(|parameter| parameter.name);
            let names: Vec<&str> = names.filter(|name| filter_kind(name).is_some()).collect();
            let key = format!("(?:{})(?::(?:asc|desc))?", names.join("|"));
            pattern(&format!("^(?:{key}(?:[|,]{key})*)?$"))
        }
        ("reveal", false) => json!({ "type": "string", "enum": ["true", "false"] }),
        (name, false) if filter_kind(name) == Some(AttributeKind::Number) => pattern(&filter_pattern(NUMBER)),
        (name, false) if filter_kind(name) == Some(AttributeKind::Moment) => pattern(&filter_pattern(MOMENT)),
        (name, false) if filter_words(name).is_some() => {
            pattern(&word_filter_pattern(&filter_words(name).unwrap_or_default()))
        }
        (_, false) if parameter.is_required => json!({ "type": "string", "minLength": 1 }),
        (_, false) => json!({ "type": "string" }),
    }
}

/// How a filter of any list compares, by the attribute's name; the lists agree on names that several have.
fn filter_kind(name: &str) -> Option<AttributeKind> {
    let of_connector = ConnectorAttribute::parse(name).map(Attribute::kind);
    of_connector.or_else(|| AuditAttribute::parse(name).map(Attribute::kind))
}

/// The only words that a filter of the audit trail takes.
fn filter_words(name: &str) -> Option<Vec<&'static str>> {
    AuditAttribute::parse(name).and_then(Attribute::words)
}

/// As [`filter_pattern`], with only these words where the whole value is compared, and anything in patterns and orders.
fn word_filter_pattern(words: &[&str]) -> String {
    let word = format!("(?:{})", words.join("|"));
    format!(r"^(?:(?:!?=)?|(?:!?=)?{word}|!?><{word}(?:\|{word})*|!?~[\s\S]*|<[\s\S]*|>(?:[^<][\s\S]*)?)$")
}

/// Unset, set, compared with one value, or with several.
fn filter_pattern(value: &str) -> String {
    format!(r"^(?:(?:!?=)?|(?:[<>]=?|!?=)?{value}|!?><{value}(?:\|{value})*)$")
}

fn properties_of(schema: &mut Schema) -> &mut Value {
    schema.get_mut("properties").expect("an object's schema has properties")
}

fn named(generator: &mut SchemaGenerator, name: &str, schema: Schema) -> Schema {
    generator.definitions_mut().insert(name.to_owned(), schema.to_value());
    Schema::new_ref(format!("#/components/schemas/{name}"))
}
