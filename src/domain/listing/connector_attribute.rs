//! The attributes that lists of connectors can filter and order by.

use crate::domain::connector::Connector;
use crate::domain::listing::attribute::{Attribute, AttributeKind, Value};

/// An attribute of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorAttribute {
    /// The number.
    Id,
    /// The unique name.
    Name,
    /// The endpoint.
    Url,
    /// The proxy, in its masked form.
    UrlProxy,
    /// The provider's name.
    Provider,
    /// The region.
    Region,
    /// The public half of the credentials.
    AccessKey,
}

impl Attribute for ConnectorAttribute {
    type Record = Connector;

    const ALL: &'static [Self] =
        &[Self::Id, Self::Name, Self::Url, Self::UrlProxy, Self::Provider, Self::Region, Self::AccessKey];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Url => "url",
            Self::UrlProxy => "url_proxy",
            Self::Provider => "provider",
            Self::Region => "region",
            Self::AccessKey => "access_key",
        }
    }

    fn kind(self) -> AttributeKind {
        match self {
            Self::Id => AttributeKind::Number,
            Self::Name | Self::Url | Self::UrlProxy | Self::Provider | Self::Region | Self::AccessKey => {
                AttributeKind::Text
            }
        }
    }

    fn value(self, connector: &Connector) -> Value<'_> {
        let settings = &connector.settings;
        match self {
            Self::Id => Value::number(Some(connector.id)),
            Self::Name => Value::text(Some(connector.name.as_str())),
            Self::Url => Value::text(settings.url.as_deref()),
            Self::UrlProxy => Value::text(settings.url_proxy.as_ref().map(|text| text.masked())),
            Self::Provider => Value::text(Some(settings.provider.name())),
            Self::Region => Value::text(settings.region.as_deref()),
            Self::AccessKey => Value::text(settings.access_key.as_deref()),
        }
    }
}
