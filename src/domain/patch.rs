//! One attribute of a request body: left out, cleared, or set.

/// What a request says about one attribute.
#[derive(Debug, Clone, Default)]
pub enum Patch<T> {
    /// Left out: the saved value stays.
    #[default]
    Keep,
    /// `null` or `""`: the value is taken away.
    Clear,
    /// A new value.
    Set(T),
}

impl<T> Patch<T> {
    /// The value after this patch, given the one before.
    pub fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Patch::Keep => before,
            Patch::Clear => None,
            Patch::Set(value) => Some(value),
        }
    }

    /// Whether the request names this attribute.
    pub fn is_sent(&self) -> bool {
        !matches!(self, Patch::Keep)
    }
}
