//! The kinds of cloud service that a connector can name, and what is known about each.

/// A cloud service, or a family of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Anything that speaks S3.
    GenericS3,
    /// Amazon S3.
    AmazonAwsS3,
    /// Cloudian HyperStore.
    CloudianHyperstore,
    /// Scality RING.
    ScalityRing,
    /// Dell EMC ECS.
    DellEmcEcs,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage with interoperable keys.
    GoogleCloudStorage,
    /// OpenStack Swift.
    OpenstackSwift,
    /// Wasabi.
    Wasabi,
    /// Quantum ActiveScale.
    QuantumActivescale,
    /// DataCore Swarm.
    DatacoreSwarm,
}

/// The region that signs requests where a connector names none.
pub const DEFAULT_REGION: &str = "us-east-1";

/// The domains of Amazon's partitions.
const AMAZON_DOMAINS: [&str; 3] = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"];

impl Provider {
    /// Every provider, in the order of the API document.
    pub const ALL: [Provider; 11] = [
        Provider::GenericS3,
        Provider::AmazonAwsS3,
        Provider::CloudianHyperstore,
        Provider::ScalityRing,
        Provider::DellEmcEcs,
        Provider::Azure,
        Provider::GoogleCloudStorage,
        Provider::OpenstackSwift,
        Provider::Wasabi,
        Provider::QuantumActivescale,
        Provider::DatacoreSwarm,
    ];

    /// The name in the API and in stored records.
    pub const fn name(self) -> &'static str {
        match self {
            Provider::GenericS3 => "generic_s3",
            Provider::AmazonAwsS3 => "amazon_aws_s3",
            Provider::CloudianHyperstore => "cloudian_hyperstore",
            Provider::ScalityRing => "scality_ring",
            Provider::DellEmcEcs => "dell_emc_ecs",
            Provider::Azure => "azure",
            Provider::GoogleCloudStorage => "google_cloud_storage",
            Provider::OpenstackSwift => "openstack_swift",
            Provider::Wasabi => "wasabi",
            Provider::QuantumActivescale => "quantum_activescale",
            Provider::DatacoreSwarm => "datacore_swarm",
        }
    }

    /// The provider of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// Whether a connector may leave its `url` empty.
    pub const fn has_well_known_endpoint(self) -> bool {
        match self {
            Provider::AmazonAwsS3 | Provider::Azure | Provider::GoogleCloudStorage | Provider::Wasabi => true,
            Provider::GenericS3
            | Provider::CloudianHyperstore
            | Provider::ScalityRing
            | Provider::DellEmcEcs
            | Provider::OpenstackSwift
            | Provider::QuantumActivescale
            | Provider::DatacoreSwarm => false,
        }
    }

    /// Whether the well-known endpoint is named after the region, which then has to be a part of a host name.
    pub const fn has_region_in_endpoint(self) -> bool {
        matches!(self, Provider::AmazonAwsS3 | Provider::Wasabi)
    }

    /// The public endpoint, from the vendors' lists of service endpoints. Azure's is named after the account.
    pub fn well_known_endpoint(self, region: Option<&str>, access_key: Option<&str>) -> Option<String> {
        let region = region.unwrap_or(DEFAULT_REGION);
        if self.has_region_in_endpoint() && !is_host_label(region) {
            return None;
        }
        let access_key = access_key.filter(|account| is_host_label(account));
        match self {
            Provider::AmazonAwsS3 => Some(format!("https://s3.{region}.{}", amazon_domain(region))),
            Provider::Wasabi => Some(format!("https://s3.{region}.wasabisys.com")),
            Provider::GoogleCloudStorage => Some("https://storage.googleapis.com".to_owned()),
            Provider::Azure => access_key.map(|account| format!("https://{account}.blob.core.windows.net")),
            Provider::GenericS3
            | Provider::CloudianHyperstore
            | Provider::ScalityRing
            | Provider::DellEmcEcs
            | Provider::OpenstackSwift
            | Provider::QuantumActivescale
            | Provider::DatacoreSwarm => None,
        }
    }
}

/// Amazon's domain for a region: China and the European Sovereign Cloud are partitions of their own.
fn amazon_domain(region: &str) -> &'static str {
    match region.split_once('-').map(|(partition, _)| partition) {
        Some("cn") => AMAZON_DOMAINS[1],
        Some("eusc") => AMAZON_DOMAINS[2],
        Some(_) | None => AMAZON_DOMAINS[0],
    }
}

/// Whether a host is one of Amazon's own.
pub fn is_amazon_host(host: &str) -> bool {
    AMAZON_DOMAINS.iter().any(|domain| host.strip_suffix(domain).is_some_and(|host| host.ends_with('.')))
}

/// Whether a text can stand between two dots of a host name (RFC 1123). Anything else could name another host.
pub fn is_host_label(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_back_and_endpoints_agree() {
        for provider in Provider::ALL {
            assert_eq!(Provider::parse(provider.name()), Some(provider));
            let endpoint = provider.well_known_endpoint(None, Some("account"));
            assert_eq!(endpoint.is_some(), provider.has_well_known_endpoint());
        }
        assert_eq!(Provider::parse("text"), None);
        for region in ["evil.example/", "x/../#", "a.b", "", "a@b", "a:1"] {
            assert_eq!(Provider::AmazonAwsS3.well_known_endpoint(Some(region), None), None, "{region}");
            assert_eq!(Provider::Azure.well_known_endpoint(None, Some(region)), None, "{region}");
        }
    }
}
