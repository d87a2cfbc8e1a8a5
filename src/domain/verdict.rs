//! What a test says of a connector: what is wrong, how far it came, and what to change.

use std::fmt;

use crate::domain::bucket::Bucket;

/// How far a test came before it was known what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was sent: the connector itself cannot be used as it is.
    Configuration,
    /// The name of the server was looked up.
    Resolve,
    /// A connection to the server was opened.
    Connect,
    /// A proxy was asked to open the way.
    Proxy,
    /// Encryption was agreed on.
    Tls,
    /// A request was sent.
    Http,
    /// The server looked at the credentials.
    Authentication,
    /// The server looked at what they may do.
    Authorization,
    /// The answer was read.
    Answer,
}

impl Stage {
    /// Every stage, in their order.
    pub const ALL: [Stage; 9] = [
        Stage::Configuration,
        Stage::Resolve,
        Stage::Connect,
        Stage::Proxy,
        Stage::Tls,
        Stage::Http,
        Stage::Authentication,
        Stage::Authorization,
        Stage::Answer,
    ];

    /// As clients and the store know it.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Configuration => "configuration",
            Stage::Resolve => "resolve",
            Stage::Connect => "connect",
            Stage::Proxy => "proxy",
            Stage::Tls => "tls",
            Stage::Http => "http",
            Stage::Authentication => "authentication",
            Stage::Authorization => "authorization",
            Stage::Answer => "answer",
        }
    }

    /// The stage of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// One thing that is wrong, or to be known, for programs (`code`) and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// A word for programs, for example `connection_refused`.
    pub code: String,
    /// How far the test came.
    pub stage: Stage,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to change, in a sentence.
    pub hint: String,
    /// The attribute of the connector that the hint is about.
    pub attribute: Option<String>,
}

impl Verdict {
    /// A verdict from its parts.
    pub fn new(stage: Stage, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.to_owned(), stage, message: message.into(), hint: hint.into(), attribute: None }
    }

    /// The same, about an attribute of the connector.
    pub fn about(self, attribute: &str) -> Self {
        Self { attribute: Some(attribute.to_owned()), ..self }
    }

    /// The verdict on a job that did not come to its own end, after [`crate::domain::job::INTERRUPTED_RUNS_MAX`] runs.
    pub fn interrupted() -> Self {
        Self::new(
            Stage::Configuration,
            "interrupted",
            "The test was interrupted, by the service ending or by an error of its own.",
            "Start the test again. If it is interrupted again, the service's log says why.",
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.message, self.hint)
    }
}

/// What a test found that ended well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Sorted by name.
    pub buckets: Vec<Bucket>,
    /// What is to be known besides, for example that the list was cut.
    pub notes: Vec<Verdict>,
}

/// What a test found that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong.
    pub verdict: Verdict,
    /// What is to be known besides, for example a mount option with a typing error.
    pub notes: Vec<Verdict>,
}

impl From<Verdict> for Failure {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, notes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_parsed_back() {
        for stage in Stage::ALL {
            assert_eq!(Stage::parse(stage.name()), Some(stage));
        }
        assert_eq!(Stage::parse("Answer"), None);
    }
}
