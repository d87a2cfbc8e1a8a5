//! Text that must not be seen: it does not print, and its memory is cleared when it goes.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. `Debug` shows stars, there is no `Display`, and the memory is zeroed on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over as a secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Every use is a place where a secret could leak: keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares two secrets in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Secret) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "***");
        assert!(secret.matches(&Secret::new("hunter2".into())));
        assert!(!secret.matches(&Secret::new("hunter3".into())));
    }
}
