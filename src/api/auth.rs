//! Who calls: the one place that makes a [`Caller`], from the `Authorization` header and the right that a route asks for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use zeroize::Zeroizing;

use crate::api::error::ApiError;
use crate::app::App;
use crate::domain::api_key::KeyText;
use crate::domain::scope::{CONNECTORS_GET_SECRET_KEY, Right, RightSet};
use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;

/// Somebody who was let in. Only this file makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    user_id: u64,
    rights: RightSet,
    expires_at: Option<Timestamp>,
    label: String,
}

impl Caller {
    /// The current user: who signed in, or the owner of the key.
    pub fn user_id(&self) -> u64 {
        self.user_id
    }

    /// Everything that the caller may do.
    pub fn rights(&self) -> RightSet {
        self.rights
    }

    /// Refuses a caller without the right.
    ///
    /// # Errors
    /// 403, naming the right.
    pub fn require(&self, right: Right) -> Result<(), ApiError> {
        if self.rights.holds(right) { Ok(()) } else { Err(ApiError::lacks(right)) }
    }

    /// Whether secret keys and proxy passwords may be shown.
    pub fn sees_secrets(&self) -> bool {
        self.rights.holds(CONNECTORS_GET_SECRET_KEY)
    }

    /// When the caller's key ends; keys that it makes end no later.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// For the log and the job queue: `user:1` or `key:7`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Lets a caller in who sends valid credentials. What the caller may do is checked by [`Caller::require`].
///
/// # Errors
/// 401 without valid credentials, 503 where they cannot be checked now.
pub async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::unauthorized());
    };
    let credentials = value.to_str().ok().and_then(Sent::parse).ok_or_else(ApiError::unauthorized)?;
    let index = app.store.snapshot();
    match credentials {
        Sent::Password { user, password } => {
            let user = app.credentials.verify_password(&index, &user, &password).await?;
            let user = user.ok_or_else(ApiError::unauthorized)?;
            app.first_sign_in_worked();
            Ok(Caller {
                user_id: user.id,
                rights: RightSet::all(),
                expires_at: None,
                label: format!("user:{}", user.id),
            })
        }
        Sent::Key(text) => {
            let key = app.credentials.verify_key(&index, &text).await?.ok_or_else(ApiError::unauthorized)?;
            Ok(Caller {
                user_id: key.user_id,
                rights: key.rights(),
                expires_at: key.expires_at,
                label: format!("key:{}", key.id),
            })
        }
    }
}

/// What an `Authorization` header holds.
enum Sent {
    Password { user: String, password: Secret },
    Key(KeyText),
}

impl Sent {
    fn parse(value: &str) -> Option<Self> {
        match value.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => Self::parse_basic(rest.trim()),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
                KeyText::parse(rest.trim()).map(Sent::Key)
            }
            Some(_) => None,
            None => KeyText::parse(value).map(Sent::Key),
        }
    }

    /// RFC 7617: base64 of user, colon, password. Some clients leave the padding out.
    fn parse_basic(encoded: &str) -> Option<Self> {
        let decoded =
            STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).map(Zeroizing::new).ok()?;
        let text = std::str::from_utf8(&decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Sent::Password { user: user.to_owned(), password: Secret::new(password.to_owned()) })
    }
}
