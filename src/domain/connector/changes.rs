//! What a change of a connector changes: the names of attributes for the audit trail, and whether a secret is another one.

use crate::domain::connector::{Connector, ConnectorName, Settings};
use crate::domain::masked::MaskedText;

impl Connector {
    /// The saved connector with another name and other settings.
    pub fn changed(&self, name: ConnectorName, settings: Settings) -> Self {
        let has_new_secret = !self.settings.has_same_secrets(&settings);
        let secret_revision = self.secret_revision + u64::from(has_new_secret);
        Self { id: self.id, name, settings, secret_revision }
    }

    /// The names of the attributes that have a value.
    pub fn set_attributes(&self) -> Vec<&'static str> {
        let settings = &self.settings;
        let set = [
            ("name", true),
            ("url", settings.url.is_some()),
            ("url_proxy", settings.url_proxy.is_some()),
            ("provider", true),
            ("region", settings.region.is_some()),
            ("access_key", settings.access_key.is_some()),
            ("secret_key", settings.secret_key.is_some()),
            ("options", settings.options.is_some()),
        ];
        set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    /// The names of the attributes in which another differs.
    pub fn changed_attributes(&self, other: &Connector) -> Vec<&'static str> {
        let (before, after) = (&self.settings, &other.settings);
        let changed = [
            ("name", self.name != other.name),
            ("url", before.url != after.url),
            ("url_proxy", before.url_proxy != after.url_proxy),
            ("provider", before.provider != after.provider),
            ("region", before.region != after.region),
            ("access_key", before.access_key != after.access_key),
            ("secret_key", !before.has_same_secret_key(after)),
            ("options", before.options != after.options),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }
}

impl Settings {
    /// Whether there is a secret key or a password in the settings.
    pub fn holds_secret(&self) -> bool {
        let holds_password =
            |text: &Option<MaskedText>| text.as_ref().is_some_and(MaskedText::holds_password);
        self.secret_key.is_some() || holds_password(&self.url_proxy) || holds_password(&self.options)
    }

    fn has_same_secret_key(&self, other: &Settings) -> bool {
        match (&self.secret_key, &other.secret_key) {
            (Some(own), Some(other)) => own.matches(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Whether secret key and passwords are the same, whatever is around them.
    fn has_same_secrets(&self, other: &Settings) -> bool {
        let same_passwords = |own: &Option<MaskedText>, other: &Option<MaskedText>| {
            let passwords = |text: &Option<MaskedText>| text.as_ref().map(MaskedText::parts_with_password);
            passwords(own).unwrap_or_default() == passwords(other).unwrap_or_default()
        };
        self.has_same_secret_key(other)
            && same_passwords(&self.url_proxy, &other.url_proxy)
            && same_passwords(&self.options, &other.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::connector::ConnectorPatch;
    use crate::domain::patch::Patch;
    use crate::domain::secret::Secret;

    #[test]
    fn the_secret_revision_goes_up_with_secrets_alone() {
        let settings = ConnectorPatch {
            secret_key: Patch::Set(Secret::new("hunter2".into())),
            url_proxy: Patch::Set(MaskedText::proxy("http://u:hunter2@h")),
            options: Patch::Set(MaskedText::mount_options("uid=1,proxy=http://u:hunter2@h")),
            ..ConnectorPatch::default()
        };
        let settings = settings.apply_settings(None);
        let name = ConnectorName::parse("a").expect("valid");
        let saved = Connector { id: 1, name: name.clone(), settings, secret_revision: 5 };
        let check = |patch: ConnectorPatch, revision: u64, attributes: &[&str]| {
            let changed = saved.changed(name.clone(), patch.apply_settings(Some(&saved.settings)));
            assert_eq!(changed.secret_revision, revision, "{attributes:?}");
            assert_eq!(saved.changed_attributes(&changed), attributes);
        };
        let none = ConnectorPatch::default;
        let proxy = |text: &str| ConnectorPatch { url_proxy: Patch::Set(MaskedText::proxy(text)), ..none() };
        let options =
            |text: &str| ConnectorPatch { options: Patch::Set(MaskedText::mount_options(text)), ..none() };
        let secret_key = |patch: Patch<Secret>| ConnectorPatch { secret_key: patch, ..none() };
        check(none(), 5, &[]);
        check(secret_key(Patch::Set(Secret::new("hunter2".into()))), 5, &[]);
        check(secret_key(Patch::Set(Secret::new("hunter3".into()))), 6, &["secret_key"]);
        check(secret_key(Patch::Clear), 6, &["secret_key"]);
        check(proxy("http://u:***@h"), 5, &[]);
        check(proxy("socks5://v:hunter2@other"), 5, &["url_proxy"]);
        check(proxy("http://u:hunter3@h"), 6, &["url_proxy"]);
        check(ConnectorPatch { url_proxy: Patch::Clear, ..none() }, 6, &["url_proxy"]);
        check(options("uid=2,proxy=http://u:hunter2@h"), 5, &["options"]);
        check(options("uid=1,proxy=http://u:hunter3@h"), 6, &["options"]);
        check(ConnectorPatch { region: Patch::Set("eu".into()), ..none() }, 5, &["region"]);
        assert!(saved.settings.holds_secret() && !none().apply_settings(None).holds_secret());
    }
}
