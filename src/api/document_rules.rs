//! What the API document says of bodies and parameters beyond their types: the rules that a schema can tell.
//!
//! What it cannot tell (a name that is taken, a rule that depends on what is saved) stays with the handlers' 422.

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::api::connectors::ConnectorBody;
use crate::api::routes::Parameter;
use crate::domain::connector::NAME_MAX_CHARACTERS;
use crate::domain::listing::Attribute;
use crate::domain::provider::Provider;
use crate::domain::scope::ALL_RIGHTS;

/// Names: no space at either end, no control characters, not all digits, not `-`, `.` or `..`.
const NAME_PATTERN: &str =
    r"^(?![0-9]+$)(?!(?:-|\.\.?)$)[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$";
/// Filters of ids: unset, set, compared with a number, in or not in a list of them.
const ID_FILTER_PATTERN: &str = r"^(?:(?:!?=)?|(?:[<>]=?|!?=)?-?[0-9]+|!?><-?[0-9]+(?:\|-?[0-9]+)*)$";
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
pub fn of_parameter(parameter: &Parameter, list_items_max: usize) -> Value {
    match (parameter.name, parameter.is_integer) {
        ("limit", _) => json!({ "type": "integer", "minimum": 0, "maximum": list_items_max }),
        ("offset", _) => json!({ "type": "integer", "minimum": 0, "maximum": usize::MAX }),
        (_, true) => json!({ "type": "integer", "minimum": 0 }),
        ("id", false) => json!({ "type": "string", "pattern": ID_FILTER_PATTERN }),
        ("sort_by", false) => {
            let names: Vec<&str> = Attribute::ALL.iter().map(|attribute| attribute.name()).collect();
            let key = format!("(?:{})(?::(?:asc|desc))?", names.join("|"));
            json!({ "type": "string", "pattern": format!("^(?:{key}(?:[|,]{key})*)?$") })
        }
        (_, false) if parameter.is_required => json!({ "type": "string", "minLength": 1 }),
        (_, false) => json!({ "type": "string" }),
    }
}

fn properties_of(schema: &mut Schema) -> &mut Value {
    schema.get_mut("properties").expect("an object's schema has properties")
}

fn named(generator: &mut SchemaGenerator, name: &str, schema: Schema) -> Schema {
    generator.definitions_mut().insert(name.to_owned(), schema.to_value());
    Schema::new_ref(format!("#/components/schemas/{name}"))
}
