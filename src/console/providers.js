// What the form knows of each provider: how its vendor calls things, and what may be left empty.

const S3_KEYS = { accessLabel: 'Access key', secretLabel: 'Secret key' };
const S3_REGION = { label: 'Region', placeholder: 'us-east-1', hint: 'Requests are signed for it. Empty means us-east-1.' };

/** A provider of S3 that is run by its owner: the endpoint is needed, the region seldom matters. */
function ownS3(id, name, url) {
  return { id, name, url: { placeholder: url, isNeeded: true, hint: 'Address of the service, without a bucket.' }, region: S3_REGION, ...S3_KEYS };
}

/** A label of a host name; other texts would name another host. */
const HOST_LABEL = /^[a-z0-9-]{1,63}$/i;

export const PROVIDERS = [
  ownS3('generic_s3', 'Other S3 service', 'https://s3.example.com'),
  {
    id: 'amazon_aws_s3',
    name: 'Amazon S3',
    url: { hint: 'Empty means the endpoint of the region.' },
    region: { label: 'Region', placeholder: 'us-east-1', hint: 'As in the AWS console, for example eu-central-1.' },
    accessLabel: 'Access key ID',
    secretLabel: 'Secret access key',
    accessPlaceholder: 'AKIA…',
    wellKnown: ({ region }) => amazonEndpoint(region || 'us-east-1'),
  },
  ownS3('cloudian_hyperstore', 'Cloudian HyperStore', 'https://s3.region.example.com'),
  ownS3('scality_ring', 'Scality RING', 'https://s3.example.com'),
  ownS3('dell_emc_ecs', 'Dell EMC ECS', 'https://ecs.example.com:9021'),
  {
    id: 'azure',
    name: 'Azure Blob Storage',
    url: { hint: 'Empty means the endpoint of the storage account.' },
    region: null,
    accessLabel: 'Storage account',
    secretLabel: 'Account key',
    accessPlaceholder: 'mystorageaccount',
    secretHint: 'One of the two keys under “Access keys” of the storage account.',
    wellKnown: ({ access_key: account }) => (HOST_LABEL.test(account) ? `https://${account}.blob.core.windows.net` : null),
  },
  {
    id: 'google_cloud_storage',
    name: 'Google Cloud Storage',
    url: { hint: 'Empty means Google’s own endpoint.' },
    region: { label: 'Region', placeholder: 'us-east-1', hint: 'Seldom needed.' },
    accessLabel: 'HMAC access key',
    secretLabel: 'HMAC secret',
    accessPlaceholder: 'GOOG…',
    secretHint: 'An HMAC key: Cloud Storage, Settings, Interoperability.',
    wellKnown: () => 'https://storage.googleapis.com',
  },
  {
    id: 'openstack_swift',
    name: 'OpenStack Swift',
    url: {
      placeholder: 'https://keystone.example.com:5000/v3',
      isNeeded: true,
      hint: 'Ends in /v3 for Keystone, in /auth/v1.0 for TempAuth; any other address is taken for its S3 API.',
    },
    region: { label: 'Region', placeholder: 'RegionOne', hint: 'Needed where the service has several.' },
    accessLabel: 'User',
    secretLabel: 'Password or key',
    accessPlaceholder: 'project:user',
    accessHint: 'project:user, domain/project:user, account:user, the ID of an application credential, or an S3 access key.',
  },
  {
    id: 'wasabi',
    name: 'Wasabi',
    url: { hint: 'Empty means the endpoint of the region.' },
    region: { label: 'Region', placeholder: 'us-east-1', hint: 'The region of the buckets, for example eu-central-1.' },
    ...S3_KEYS,
    wellKnown: ({ region }) => (HOST_LABEL.test(region || 'us-east-1') ? `https://s3.${region || 'us-east-1'}.wasabisys.com` : null),
  },
  ownS3('quantum_activescale', 'Quantum ActiveScale', 'https://activescale.example.com'),
  ownS3('datacore_swarm', 'DataCore Swarm', 'https://swarm.example.com'),
];

/** The provider of this name; a newer one of the service is shown like any S3 service. */
export function providerOf(id) {
  return PROVIDERS.find((provider) => provider.id === id) ?? ownS3(id, id, 'https://s3.example.com');
}

/** The address that a connector's requests go to, where that is known. */
export function endpointOf(connector) {
  if (connector.url) return /^https?:\/\//i.test(connector.url) ? connector.url : `https://${connector.url}`;
  const { region, access_key } = connector;
  return providerOf(connector.provider).wellKnown?.({ region: region ?? '', access_key: access_key ?? '' }) ?? null;
}

/** How a Swift service is asked, by its address, as the service decides it: its S3 API, TempAuth or Keystone. */
export function swiftWay(url) {
  const path = (url ?? '').replace(/\/+$/, '');
  if (/\/v3(\/auth\/tokens)?$/.test(path)) return 'keystone';
  return /\/(v1\.0|auth\/v1|auth\/1\.0|auth)$/.test(path) ? 'tempauth' : 's3';
}

/** Amazon's partitions have domains of their own (China, the European Sovereign Cloud). */
function amazonEndpoint(region) {
  if (!HOST_LABEL.test(region)) return null;
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : region.startsWith('eusc-') ? 'amazonaws.eu' : 'amazonaws.com';
  return `https://s3.${region}.${domain}`;
}

/** A text of the service, with the form's names in place of the API's. */
export function inFormWords(id, text) {
  const withLabels = text.replace(/\b(url_proxy|url|secret_key|access_key)\b(?!=)/g, (attribute) => `“${labelOf(id, attribute)}”`);
  return PROVIDERS.reduce((words, provider) => words.replaceAll(provider.id, provider.name), withLabels);
}

/** What the form calls an attribute. */
export function labelOf(id, attribute) {
  const provider = providerOf(id);
  switch (attribute) {
    case 'name':
      return 'Name';
    case 'provider':
      return 'Provider';
    case 'url':
      return 'Endpoint';
    case 'region':
      return provider.region?.label ?? 'Region';
    case 'access_key':
      return provider.accessLabel;
    case 'secret_key':
      return provider.secretLabel;
    case 'url_proxy':
      return 'Proxy';
    case 'options':
      return 'Mount options';
    default:
      return attribute;
  }
}
