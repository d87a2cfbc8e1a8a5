//! A person who signs in with a password.

use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;

/// Longest user name, in characters.
pub const NAME_MAX_CHARACTERS: usize = 64;
/// Shortest password, in characters.
pub const PASSWORD_MIN_CHARACTERS: usize = 8;
/// Longest password, in bytes: hashing costs time.
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// A person who signs in with a password and may do everything.
#[derive(Debug, Clone)]
pub struct User {
    /// Counts up from 1, never used twice.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// argon2id in PHC form.
    pub password_hash: Secret,
    /// Goes up with each change of the password, so that a remembered sign-in ends with it.
    pub revision: u64,
    /// When the user was added.
    pub created_at: Timestamp,
}

/// Checks a user name. A colon would end it in Basic authentication (RFC 7617).
///
/// # Errors
/// Says what would be right.
pub fn parse_name(name: &str) -> Result<String, String> {
    let is_valid = !name.is_empty()
        && name.chars().count() <= NAME_MAX_CHARACTERS
        && name.trim() == name
        && !name.contains(|character: char| character == ':' || character.is_control());
    if is_valid {
        return Ok(name.to_owned());
    }
    Err(format!("a user name has 1 to {NAME_MAX_CHARACTERS} characters, no colon and no space at either end"))
}

/// Checks a new password.
///
/// # Errors
/// Says what would be right, without the password.
pub fn parse_password(password: &Secret) -> Result<(), String> {
    let characters = password.expose().chars().count();
    if characters < PASSWORD_MIN_CHARACTERS || password.expose().len() > PASSWORD_MAX_BYTES {
        return Err(format!(
            "a password has {PASSWORD_MIN_CHARACTERS} characters at least and {PASSWORD_MAX_BYTES} bytes at most"
        ));
    }
    if password.expose().chars().any(char::is_control) {
        return Err("a password has no line ends or other control characters".to_owned());
    }
    Ok(())
}
