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
