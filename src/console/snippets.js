// How other tools use a connector: lines to copy. Secrets are placeholders until they were revealed.
//
// Sources: s3fs(1), fstab(5), rclone.org/s3, /azureblob and /swift, and the AWS CLI's reference.

import { endpointOf, swiftWay } from './providers.js';

const SECRET_PLACEHOLDER = 'YOUR-SECRET-KEY';
const ACCESS_PLACEHOLDER = 'YOUR-ACCESS-KEY';

const RCLONE_PROVIDERS = { amazon_aws_s3: 'AWS', google_cloud_storage: 'GCS', wasabi: 'Wasabi' };

/** Every snippet for a connector, as `{ title, text, note }`. `secret` is `null` until it was revealed. */
export function snippetsOf(connector, secret) {
  const settings = {
    ...connector,
    access_key: connector.access_key ?? ACCESS_PLACEHOLDER,
    secret_key: secret ?? SECRET_PLACEHOLDER,
    endpoint: endpointOf(connector),
    file: fileName(connector),
  };
  const isS3 = connector.provider !== 'azure' && !(connector.provider === 'openstack_swift' && swiftWay(connector.url) !== 's3');
  return isS3
    ? [mountLine(settings), fstabLine(settings), rcloneSection(settings), awsCommand(settings)]
    : [rcloneSection(settings)];
}

/** A word for a POSIX shell; quoted where it has to be. */
export function shellWord(text) {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A name that needs no quoting in a path, and that no other connector has. */
function fileName({ id, name }) {
  const plain = name.toLowerCase().replace(/[^a-z0-9._-]+/g, '-').replace(/^[-.]+|-+$/g, '');
  return plain === name ? name : `${plain || 'connector'}-${id}`;
}

/** The options that every mount of it needs; those of the connector come last, so that they win. */
function mountOptions({ endpoint, region, provider, options, file }) {
  const own = (options ?? '').split(/(?<!\\),/).map((option) => option.trim()).filter((option) => option !== '');
  const isSet = (name) => own.some((option) => option === name || option.startsWith(`${name}=`));
  return [
    `passwd_file=/etc/passwd-s3fs-${file}`,
    ...(endpoint && !isSet('url') ? [`url=${escapeOption(endpoint)}`] : []),
    ...(region && !isSet('endpoint') && !isSet('region') ? [`endpoint=${escapeOption(region)}`] : []),
    ...(provider === 'amazon_aws_s3' || isSet('use_path_request_style') ? [] : ['use_path_request_style']),
    ...own,
  ];
}

function escapeOption(text) {
  return text.replace(/[\\,]/g, '\\$&');
}

function mountLine(settings) {
  const { access_key: accessKey, secret_key: secretKey, file } = settings;
  const passwordFile = `/etc/passwd-s3fs-${file}`;
  return {
    title: 's3fs mount',
    note: `As root. The first line writes the credentials into a file that only root can read.${proxyNote(settings)}`,
    text: [
      // Not `access:secret`: an access key of Swift has a colon itself.
      `(umask 077; printf '%s\\n' ${shellWord(`AWSAccessKeyId=${accessKey}`)} ${shellWord(`AWSSecretKey=${secretKey}`)} > ${passwordFile})`,
      `mkdir -p /mnt/${file}`,
      `s3fs BUCKET /mnt/${file} -o ${shellWord(mountOptions(settings).join(','))}`,
    ].join('\n'),
  };
}

function fstabLine(settings) {
  const field = (text) => text.replace(/[\s\\#]/g, (sign) => `\\${sign.charCodeAt(0).toString(8).padStart(3, '0')}`);
  const options = field(`_netdev,allow_other,${mountOptions(settings).join(',')}`);
  return {
    title: '/etc/fstab line',
    note: `With the password file of the mount above.${proxyNote(settings)}`,
    text: `BUCKET /mnt/${settings.file} fuse.s3fs ${options} 0 0`,
  };
}

function rcloneSection(settings) {
  const entries = rcloneEntries(settings);
  return {
    title: 'rclone section',
    note: `For rclone.conf. Where that file is encrypted, use rclone config instead.${alteredNote(entries)}${proxyNote(settings)}`,
    text: [`[${rcloneName(settings.name)}]`, ...entries.map(([key, value]) => `${key} = ${value}`)].join('\n'),
  };
}

/** What rclone's reader of the file takes for something else. */
function alteredNote(entries) {
  const isAltered = entries.some(([, value]) => /^[`"]|^\s|\s$|%\(/.test(value));
  return isAltered ? ' A value here has signs that rclone would read otherwise: type it into rclone config.' : '';
}

/** None of these lines knows of the connector's proxy. */
function proxyNote({ url_proxy: proxy }) {
  return proxy ? ' Set https_proxy (for http endpoints http_proxy) to the connector’s proxy before it.' : '';
}

/** What every version of rclone takes: letters of ASCII, digits, `_`, `-`, `.` and spaces, and neither `-` nor a space at the start. */
function rcloneName(name) {
  return name.replace(/[^A-Za-z0-9_. -]/g, '_').replace(/^[- ]+/, '').trimEnd() || 'connector';
}

function rcloneEntries(settings) {
  const { provider, access_key: accessKey, secret_key: secretKey, endpoint, region, url } = settings;
  if (provider === 'azure') {
    return [['type', 'azureblob'], ['account', accessKey], ['key', secretKey], ...(isOwnAzure(settings) ? [['endpoint', endpoint]] : [])];
  }
  const way = provider === 'openstack_swift' ? swiftWay(url) : 's3';
  if (way === 'tempauth') {
    return [['type', 'swift'], ['auth', endpoint], ['auth_version', '1'], ['user', accessKey], ['key', secretKey]];
  }
  if (way === 'keystone') return keystoneEntries(settings);
  return [
    ['type', 's3'],
    ['provider', RCLONE_PROVIDERS[provider] ?? 'Other'],
    ['access_key_id', accessKey],
    ['secret_access_key', secretKey],
    ...(region ? [['region', region]] : []),
    ...(endpoint && (url || provider !== 'amazon_aws_s3') ? [['endpoint', endpoint]] : []),
  ];
}

/** An endpoint that does not follow from the account. */
function isOwnAzure({ url, endpoint, access_key: account }) {
  return Boolean(url) && endpoint.replace(/\/+$/, '') !== `https://${account}.blob.core.windows.net`;
}

function keystoneEntries({ endpoint, region, access_key: user, secret_key: secret }) {
  const shared = [['type', 'swift'], ['auth', endpoint.replace(/\/auth\/tokens\/*$/, '')], ['auth_version', '3'], ...(region ? [['region', region]] : [])];
  const parts = /^(?:([^/:]+)\/)?([^:]+):(.+)$/.exec(user);
  if (parts === null) return [...shared, ['application_credential_id', user], ['application_credential_secret', secret]];
  const [, domain = 'Default', project, name] = parts;
  return [...shared, ['user', name], ['key', secret], ['tenant', project], ['domain', domain], ['tenant_domain', domain]];
}

function awsCommand(settings) {
  const { access_key: accessKey, secret_key: secretKey, endpoint, region } = settings;
  return {
    title: 'aws command',
    note: `With a space before the first line most shells keep it out of their history.${proxyNote(settings)}`,
    text: [
      ` export AWS_ACCESS_KEY_ID=${shellWord(accessKey)} AWS_SECRET_ACCESS_KEY=${shellWord(secretKey)}`,
      `aws s3 ls${endpoint ? ` --endpoint-url ${shellWord(endpoint)}` : ''} --region ${shellWord(region ?? 'us-east-1')}`,
    ].join('\n'),
  };
}
