//! The table of verdicts, and cases that are judged by it.

use serde_json::{Value, json};

/// Every code, its stage, and the attribute that it is about where a case does not say otherwise.
pub const VERDICTS: &[(&str, &str, Option<&str>)] = &[
    ("attribute_missing", "configuration", None),
    ("attribute_unusable", "configuration", Some("access_key")),
    ("option_invalid", "configuration", Some("options")),
    ("secret_key_not_base64", "configuration", Some("secret_key")),
    ("address_forbidden", "configuration", Some("url")),
    ("storage_url_in_clear", "configuration", Some("url")),
    ("auth_version_not_supported", "configuration", Some("url")),
    ("name_not_found", "resolve", Some("url")),
    ("name_lookup_timeout", "resolve", Some("url")),
    ("connection_refused", "connect", Some("url")),
    ("unreachable", "connect", Some("url")),
    ("connect_timeout", "connect", Some("url")),
    ("proxy_name_not_found", "proxy", Some("url_proxy")),
    ("proxy_refused", "proxy", Some("url_proxy")),
    ("proxy_unreachable", "proxy", Some("url_proxy")),
    ("proxy_timeout", "proxy", Some("url_proxy")),
    ("proxy_credentials_needed", "proxy", Some("url_proxy")),
    ("proxy_credentials_wrong", "proxy", Some("url_proxy")),
    ("proxy_denied", "proxy", Some("url_proxy")),
    ("proxy_target_unreachable", "proxy", Some("url")),
    ("not_a_proxy", "proxy", Some("url_proxy")),
    ("proxy_tls_failed", "proxy", Some("url_proxy")),
    ("not_tls", "tls", Some("url")),
    ("certificate_self_signed", "tls", Some("url")),
    ("certificate_unknown_issuer", "tls", Some("url")),
    ("certificate_expired", "tls", Some("url")),
    ("certificate_not_yet_valid", "tls", Some("url")),
    ("certificate_other_name", "tls", Some("url")),
    ("certificate_invalid", "tls", Some("url")),
    ("tls_failed", "tls", Some("url")),
    ("tls_timeout", "tls", Some("url")),
    ("https_needed", "http", Some("url")),
    ("not_http", "http", Some("url")),
    ("connection_broken", "http", Some("url")),
    ("redirected", "http", Some("url")),
    ("too_many_requests", "http", None),
    ("server_error", "http", None),
    ("server_refused", "http", Some("url")),
    ("request_style", "http", Some("options")),
    ("access_key_unknown", "authentication", Some("access_key")),
    ("secret_key_wrong", "authentication", Some("secret_key")),
    ("credentials_wrong", "authentication", Some("secret_key")),
    ("credentials_expired", "authentication", Some("access_key")),
    ("clock_skew", "authentication", None),
    ("region_wrong", "authentication", Some("region")),
    ("list_not_allowed", "authorization", Some("access_key")),
    ("access_denied", "authorization", Some("access_key")),
    ("account_not_signed_up", "authorization", Some("access_key")),
    ("account_disabled", "authorization", Some("access_key")),
    ("no_object_store", "authorization", Some("access_key")),
    ("token_refused", "authentication", Some("url")),
    ("account_forbids_keys", "authorization", Some("secret_key")),
    ("account_forbids_network", "authorization", None),
    ("names_left_out", "answer", None),
    ("not_s3", "answer", Some("url")),
    ("not_azure", "answer", Some("url")),
    ("not_swift", "answer", Some("url")),
    ("url_names_bucket", "answer", Some("url")),
    ("answer_timeout", "answer", Some("url")),
    ("answer_too_large", "answer", Some("url")),
    ("answer_malformed", "answer", None),
    ("answer_cut_off", "answer", None),
    // Notes.
    ("list_cut_short", "answer", None),
    ("buckets_probed", "authorization", None),
    ("buckets_not_reachable", "authorization", None),
    ("option_unknown", "configuration", Some("options")),
    ("option_not_honoured", "configuration", Some("options")),
];

/// A connector, and the verdict that a test of it ends with.
pub struct Case {
    pub what: String,
    pub body: Value,
    codes: Vec<&'static str>,
    about: About,
    stage: Option<&'static str>,
    says: Vec<String>,
}

/// The attribute that a verdict is about.
#[derive(Clone, Copy)]
pub enum About {
    /// That of the table.
    Usual,
    This(Option<&'static str>),
    Any,
}

pub fn case(what: &str, body: Value, code: &'static str) -> Case {
    Case {
        what: what.to_owned(),
        body,
        codes: vec![code],
        about: About::Usual,
        stage: None,
        says: Vec::new(),
    }
}

impl Case {
    /// The verdict is about this attribute, not about the usual one.
    pub fn about(mut self, attribute: Option<&'static str>) -> Self {
        self.about = About::This(attribute);
        self
    }

    /// The table of verdicts leaves open what this one is about.
    pub fn about_any(mut self) -> Self {
        self.about = About::Any;
        self
    }

    /// The test came to another stage than it usually does with this code.
    pub fn at_stage(mut self, stage: &'static str) -> Self {
        self.stage = Some(stage);
        self
    }

    /// The message holds this text.
    pub fn says(mut self, text: &str) -> Self {
        self.says.push(text.to_owned());
        self
    }

    /// Where the table of verdicts leaves it open, another code is right as well.
    pub fn or(mut self, code: &'static str) -> Self {
        self.codes.push(code);
        self
    }
}

/// Whether a test ended as the case says; the error is what is wrong.
pub fn judge(case: &Case, ended: &Value) -> Result<(), String> {
    let error = &ended["error"];
    judge_part(error, &case.codes, case.about, case.stage)?;
    let message = error["message"].as_str().unwrap_or_default();
    match case.says.iter().find(|text| !message.contains(text.as_str())) {
        Some(text) => Err(format!("the message does not say {text:?}")),
        None => Ok(()),
    }
}

/// An error, or a note: its code, stage and attribute, and that it says something.
pub fn judge_part(part: &Value, codes: &[&str], about: About, stage: Option<&str>) -> Result<(), String> {
    let code = part["code"].as_str().filter(|code| codes.contains(code));
    let code = code.ok_or_else(|| format!("expected {}", codes.join(" or ")))?;
    let row = VERDICTS.iter().find(|(known, ..)| *known == code);
    let (_, usual_stage, usual) = row.ok_or_else(|| format!("the code {code} is not in the table"))?;
    let stage = stage.unwrap_or(usual_stage);
    if part["stage"] != stage {
        return Err(format!("expected the stage {stage}"));
    }
    let attribute = match about {
        About::Usual => json!(usual),
        About::This(attribute) => json!(attribute),
        About::Any => part["attribute"].clone(),
    };
    if part["attribute"] != attribute {
        return Err(format!("expected the attribute {attribute}"));
    }
    for text in ["message", "hint"] {
        if part[text].as_str().is_none_or(str::is_empty) {
            return Err(format!("no {text}"));
        }
    }
    let ends_with_hint =
        part["message"].as_str().unwrap_or_default().contains(part["hint"].as_str().unwrap_or("\0"));
    if ends_with_hint { Ok(()) } else { Err("the message does not hold the hint".to_owned()) }
}
