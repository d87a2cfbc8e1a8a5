//! What an API key may do: pairs of controller and action, with wildcards compared as sets.

/// A right that some route, or some part of an answer, asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Right {
    /// The group of routes.
    pub controller: &'static str,
    /// What is done there.
    pub action: &'static str,
    /// No wildcard grants it.
    pub is_explicit: bool,
    /// What it is for, to people who choose.
    pub summary: &'static str,
}

const fn ordinary(controller: &'static str, action: &'static str, summary: &'static str) -> Right {
    Right { controller, action, is_explicit: false, summary }
}

/// List connectors.
pub const CONNECTORS_INDEX: Right = ordinary("cloud_connectors", "index", "List connectors.");
/// Add a connector.
pub const CONNECTORS_CREATE: Right = ordinary("cloud_connectors", "create", "Add a connector.");
/// See one connector.
pub const CONNECTORS_SHOW: Right = ordinary("cloud_connectors", "show", "See one connector.");
/// Change a connector.
pub const CONNECTORS_UPDATE: Right = ordinary("cloud_connectors", "update", "Change a connector.");
/// Remove a connector.
pub const CONNECTORS_DESTROY: Right = ordinary("cloud_connectors", "destroy", "Remove a connector.");
/// Test a connector.
pub const CONNECTORS_TEST: Right = ordinary("cloud_connectors", "test", "Test a connector.");
/// See secret keys and proxy passwords.
pub const CONNECTORS_GET_SECRET_KEY: Right = Right {
    controller: "cloud_connectors",
    action: "get_secret_key",
    is_explicit: true,
    summary: "See secret keys and proxy passwords.",
};
/// List one's API keys.
pub const API_KEYS_INDEX: Right = ordinary("api_keys", "index", "List one's API keys.");
/// Make an API key.
pub const API_KEYS_CREATE: Right = ordinary("api_keys", "create", "Make an API key.");
/// See one API key.
pub const API_KEYS_SHOW: Right = ordinary("api_keys", "show", "See one API key.");
/// Change an API key.
pub const API_KEYS_UPDATE: Right = ordinary("api_keys", "update", "Change an API key.");
/// Revoke an API key.
pub const API_KEYS_DESTROY: Right = ordinary("api_keys", "destroy", "Revoke an API key.");
/// See the audit trail.
pub const AUDIT_EVENTS_INDEX: Right = ordinary("audit_events", "index", "See the audit trail.");

/// Every right there is. The position is the bit in a [`RightSet`], in memory only.
pub const ALL_RIGHTS: [Right; 13] = [
    CONNECTORS_INDEX,
    CONNECTORS_CREATE,
    CONNECTORS_SHOW,
    CONNECTORS_UPDATE,
    CONNECTORS_DESTROY,
    CONNECTORS_TEST,
    CONNECTORS_GET_SECRET_KEY,
    API_KEYS_INDEX,
    API_KEYS_CREATE,
    API_KEYS_SHOW,
    API_KEYS_UPDATE,
    API_KEYS_DESTROY,
    AUDIT_EVENTS_INDEX,
];

const ANY: &str = "*";

/// One scope of an API key, as it was sent: names or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// A controller's name or `*`.
    pub controller: String,
    /// An action's name or `*`.
    pub action: String,
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RightSet(u32);

/// Which half of a scope names nothing that exists.
#[derive(Debug, PartialEq, Eq)]
pub enum UnknownPart {
    /// No such controller.
    Controller,
    /// The controller has no such action, or the action needs its controller by name.
    Action,
}

impl Scope {
    /// Checks that the scope grants something.
    ///
    /// # Errors
    /// The half that names nothing.
    pub fn parse(controller: &str, action: &str) -> Result<Self, UnknownPart> {
        let is_known = controller == ANY || ALL_RIGHTS.iter().any(|right| right.controller == controller);
        if !is_known {
            return Err(UnknownPart::Controller);
        }
        let scope = Self { controller: controller.to_owned(), action: action.to_owned() };
        if scope.rights() == RightSet::default() {
            return Err(UnknownPart::Action);
        }
        Ok(scope)
    }

    /// The rights that this scope grants. An explicit right is granted only by its own two names.
    pub fn rights(&self) -> RightSet {
        let grants = |right: &Right| {
            if right.is_explicit {
                return self.controller == right.controller && self.action == right.action;
            }
            (self.controller == ANY || self.controller == right.controller)
                && (self.action == ANY || self.action == right.action)
        };
        RightSet::from_bits(grants)
    }
}

impl RightSet {
    /// The rights of somebody who signs in with a password.
    pub fn all() -> Self {
        Self::from_bits(|_| true)
    }

    /// Everything that any of the scopes grants.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.rights().0))
    }

    /// Whether the right is in the set.
    pub fn holds(self, right: Right) -> bool {
        self.0 & Self::from_bits(|other| *other == right).0 != 0
    }

    /// Whether every right of `other` is in this set.
    pub fn covers(self, other: RightSet) -> bool {
        other.0 & !self.0 == 0
    }

    fn from_bits(contains: impl Fn(&Right) -> bool) -> Self {
        let bits = ALL_RIGHTS.iter().enumerate().filter(|(_, right)| contains(right));
        Self(bits.fold(0, |bits, (position, _)| bits | 1 << position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(scopes: &[(&str, &str)]) -> RightSet {
        let scopes: Vec<Scope> = scopes
            .iter()
            .map(|(controller, action)| Scope::parse(controller, action).expect("known"))
            .collect();
        RightSet::of(&scopes)
    }

    #[test]
    fn wildcards_are_sets_and_never_grant_the_explicit_right() {
        let everything = rights(&[("*", "*")]);
        for right in ALL_RIGHTS {
            assert_eq!(everything.holds(right), !right.is_explicit, "{right:?}");
        }
        assert!(everything.covers(rights(&[("*", "index"), ("api_keys", "*")])));
        assert!(!everything.covers(rights(&[("cloud_connectors", "get_secret_key")])));
        let one_by_one: Vec<(&str, &str)> = ALL_RIGHTS
            .iter()
            .filter(|right| !right.is_explicit)
            .map(|right| (right.controller, right.action))
            .collect();
        assert!(rights(&one_by_one).covers(everything));
        assert!(!rights(&[("*", "index")]).holds(CONNECTORS_SHOW));
        assert_eq!(rights(&[]), RightSet::default());
        assert!(RightSet::all().covers(everything));
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(Scope::parse("pools", "index"), Err(UnknownPart::Controller));
        assert_eq!(Scope::parse("api_keys", "test"), Err(UnknownPart::Action));
        assert_eq!(Scope::parse("*", "get_secret_key"), Err(UnknownPart::Action));
        assert_eq!(Scope::parse("", ""), Err(UnknownPart::Controller));
        assert!(Scope::parse("*", "test").is_ok());
    }
}
