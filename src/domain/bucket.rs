//! What a test finds: the buckets (containers) of an account.

/// One bucket; what the service does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// Where it is kept.
    pub location: Option<String>,
    /// Number of objects.
    pub file_count: Option<u64>,
    /// Sum of their sizes, in bytes.
    pub file_size_sum: Option<u64>,
}

/// Longest name of a bucket that is shown, in bytes; Swift's longest are 256.
const NAME_MAX_BYTES: usize = 1024;
/// Longest name of a bucket that is asked for, in characters: S3's longest.
pub const NAME_MAX_CHARACTERS: usize = 255;

/// Whether the name of a bucket, as a server sent it, can be shown and stored.
pub fn is_shown(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Whether a text can be asked for as a bucket, on any service: one segment of a path.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.chars().any(|character| character == '/' || character.is_control())
        && !matches!(text, "." | "..")
}

impl Bucket {
    /// A bucket of which nothing but the name is known.
    pub fn named(name: String) -> Self {
        Self { name, location: None, file_count: None, file_size_sum: None }
    }
}
