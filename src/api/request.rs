//! What a handler gets of a request: path parameters, query and body, each bounded and parsed once.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::api::auth::Caller;
use crate::api::constant::Wanted;
use crate::api::error::ApiError;
use crate::api::routes::Parameter;
use crate::app::App;
use crate::domain::client_address::ClientAddress;
use crate::domain::patch::Patch;
use crate::domain::secret::Secret;
use crate::domain::violation::{Violation, echo};

/// One request, as a handler sees it: no HTTP, only its parts.
pub struct Call {
    /// The program's parts.
    pub app: Arc<App>,
    /// The variable segment of the path, as it was sent.
    pub path_parameter: String,
    /// The query.
    pub query: Query,
    /// The body; empty where the route takes none.
    pub body: Body,
    /// What the client can read and has already; only for what is the same for everybody.
    pub wanted: Wanted,
    /// Where the request comes from.
    pub source: Source,
    /// Whether the answer goes without its body, as to `HEAD`.
    pub is_head: bool,
    /// Whether secrets may be in the answer; see [`REVEAL`].
    pub reveals: bool,
}

/// `reveal`.
pub const REVEAL: Parameter = Parameter {
    name: "reveal",
    is_integer: false,
    is_required: false,
    description: "false leaves secrets out of the answer, as for a caller without get_secret_key: then nothing is \
                  recorded as revealed, but for a change that leads a secret to another place.",
};

impl Call {
    /// Whether the answer shows secrets to this caller.
    pub fn shows_secrets(&self, caller: &Caller) -> bool {
        self.reveals && caller.sees_secrets()
    }
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The client's address.
    pub client: ClientAddress,
    /// The request's id, as in the log and the response.
    pub request_id: String,
}

/// The parameters after the `?`, decoded, in their order.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query and refuses parameters that the route does not know: a mistyped filter must not list everything.
    ///
    /// # Errors
    /// A violation for each unknown parameter; its value is not repeated.
    pub fn parse(query: Option<&str>, known: &[&Parameter]) -> Result<Self, Vec<Violation>> {
        let decoded = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs: Vec<(String, String)> = decoded
            .map(|(name, value)| (name.strip_suffix("[]").unwrap_or(&name).to_owned(), value.into_owned()))
            // Browsers' cache busters.
            .filter(|(name, _)| name != "_")
            .collect();
        let is_known = |name: &str| known.iter().any(|parameter| parameter.name == name);
        let unknown = pairs.iter().filter(|(name, _)| !is_known(name));
        let violations: Vec<Violation> = unknown
            .map(|(name, _)| Violation::invalid_secret(echo(name), "this address has no such parameter"))
            .collect();
        if violations.is_empty() { Ok(Self(pairs)) } else { Err(violations) }
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The only value of a parameter.
    ///
    /// # Errors
    /// Where it is sent more than once.
    pub fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Violation> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Violation::invalid_secret(name, "send it once")),
        }
    }

    /// Whether secrets are asked for: they are, unless `reveal` says otherwise.
    ///
    /// # Errors
    /// Where it is neither `true` nor `false`.
    pub fn reveals(&self) -> Result<bool, Violation> {
        match self.one(REVEAL.name)? {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(Violation::invalid(REVEAL.name, other, "send true or false")),
        }
    }

    /// All parameters in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A body that was read whole; zeroed when it goes, it may hold secrets.
#[derive(Default)]
pub struct Body(Zeroizing<Vec<u8>>);

impl Body {
    /// Reads a body under a limit of size and time.
    ///
    /// # Errors
    /// 415 for anything but JSON, 413 over the limit, 408 over the time, 400 where it breaks off.
    pub async fn read(
        headers: &HeaderMap,
        incoming: &mut Incoming,
        limit_bytes: usize,
        timeout: Duration,
    ) -> Result<Self, ApiError> {
        let too_large = || ApiError::body_too_large(limit_bytes);
        if incoming.is_end_stream() {
            return Ok(Self::default());
        }
        let is_json = is_json(headers);
        if !is_json && incoming.size_hint().lower() > 0 {
            return Err(ApiError::not_json());
        }
        if incoming.size_hint().lower() > limit_bytes as u64 {
            return Err(too_large());
        }
        // At once at its size: growing would leave copies of secrets behind.
        let expected_bytes = incoming.size_hint().exact().map_or(limit_bytes, |bytes| bytes as usize);
        let mut body = Self(Zeroizing::new(Vec::with_capacity(expected_bytes)));
        let read = async {
            while let Some(frame) = incoming.frame().await {
                let Ok(data) = frame.map_err(|_| ApiError::body_broken())?.into_data() else { continue };
                if !is_json && !data.is_empty() {
                    return Err(ApiError::not_json());
                }
                if body.0.len() + data.len() > limit_bytes {
                    return Err(too_large());
                }
                body.0.extend_from_slice(&data);
            }
            Ok(())
        };
        tokio::time::timeout(timeout, read).await.map_err(|_| ApiError::body_too_slow())??;
        Ok(body)
    }

    /// Parses a JSON object. Attributes that `T` does not name are ignored.
    ///
    /// # Errors
    /// 400 for what is no JSON, 422 for JSON that is no object.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.0.iter().all(u8::is_ascii_whitespace) {
            return Err(ApiError::malformed_json("it is empty, send a JSON object"));
        }
        // Every attribute takes every type, so what is wrong with the data can only be a repeated name.
        let malformed = |error: serde_json::Error| match error.classify() {
            Category::Data => Violation::invalid_secret("base", "an attribute is named twice").into(),
            Category::Io | Category::Syntax | Category::Eof => ApiError::malformed_json(&error.to_string()),
        };
        let is_object = self.0.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if is_object {
            return serde_json::from_slice(&self.0).map_err(malformed);
        }
        serde_json::from_slice::<serde::de::IgnoredAny>(&self.0).map_err(malformed)?;
        Err(Violation::invalid_secret("base", "send a JSON object").into())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// One attribute of a body. A wrong type is kept as such, so that all problems can be told at once.
#[derive(Debug, Clone, Default)]
pub enum Field<T> {
    /// Left out.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// Another JSON type than the attribute has.
    WrongType,
    /// A value.
    Value(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(match raw.get() {
            "null" => Field::Null,
            json => serde_json::from_str(json).map_or(Field::WrongType, Field::Value),
        })
    }
}

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A text attribute that is parsed as a secret from the start.
#[derive(Debug, Clone)]
pub struct SecretText(pub Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<T> Field<T> {
    /// Parses a value into a domain type; `null` clears, a wrong type or a refused value is added to the violations.
    pub fn into_patch<U>(
        self,
        attribute: &str,
        wrong_type: &str,
        violations: &mut Vec<Violation>,
        parse: impl FnOnce(T) -> Result<Patch<U>, Violation>,
    ) -> Patch<U> {
        let parsed = match self {
            Field::Absent => Ok(Patch::Keep),
            Field::Null => Ok(Patch::Clear),
            Field::WrongType => Err(Violation::invalid_secret(attribute, wrong_type)),
            Field::Value(value) => parse(value),
        };
        parsed.unwrap_or_else(|violation| {
            violations.push(violation);
            Patch::Keep
        })
    }
}

impl Field<String> {
    /// Parses a text; `null` and `""` clear.
    pub fn into_text_patch<U>(
        self,
        attribute: &str,
        violations: &mut Vec<Violation>,
        parse: impl FnOnce(&str) -> Result<U, Violation>,
    ) -> Patch<U> {
        self.into_patch(attribute, "send a text", violations, |text| match text.as_str() {
            "" => Ok(Patch::Clear),
            text => parse(text).map(Patch::Set),
        })
    }
}

/// The names that a path segment may mean: as it stands, and with each literal `+` as a space, as one published
/// client sends it.
pub fn names_of_segment(segment: &str) -> Vec<String> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|name| name.into_owned());
    let mut names: Vec<String> = decode(segment).into_iter().collect();
    if segment.contains('+') {
        names.extend(decode(&segment.replace('+', " ")));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments() {
        assert_eq!(names_of_segment("a%2Fb%20c"), ["a/b c"]);
        assert_eq!(names_of_segment("a+b"), ["a+b", "a b"]);
        assert_eq!(names_of_segment("a%2Bb"), ["a+b"]);
        assert_eq!(names_of_segment("100%"), ["100%"]);
        assert!(names_of_segment("%ff").is_empty());
    }

    #[test]
    fn fields_keep_wrong_types() {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Sample {
            a: Field<String>,
            b: Field<u64>,
        }
        let parse = |text: &str| Body(Zeroizing::new(text.as_bytes().to_vec())).parse::<Sample>();
        let sample = parse(r#"{"a": 5, "b": 7, "c": [{}]}"#).expect("an object");
        assert!(matches!((sample.a, sample.b), (Field::WrongType, Field::Value(7))));
        let sample = parse(r#"{"a": "\ud800", "b": null}"#).expect("an object");
        assert!(matches!((sample.a, sample.b), (Field::WrongType, Field::Null)));
        let sample = parse("{}").expect("an object");
        assert!(matches!((sample.a, sample.b), (Field::Absent, Field::Absent)));
        for (text, status) in
            [("[]", 422), ("null", 422), ("\"x\"", 422), ("", 400), ("{", 400), ("{\"a\":}", 400)]
        {
            let error = parse(text).map(|_| ()).expect_err("refused");
            assert_eq!(error.status.as_u16(), status, "{text}");
        }
    }
}
