// Lines for curl. Credentials never stand in them: curl asks for the password, or reads the API key from a file.

import { shellWord } from '../snippets.js';

/** The file that the lines read the key's header from. */
export const HEADER_FILE = 'key.header';
/** A line that no JSON text has. */
const BODY_END = 'END';

/** The whole address of a path of the document (`/api/v2/…`): relative to the page, as a proxy may put the service below a path. */
export function serviceAddress(path) {
  // Braces would be encoded by URL, and be patterns for curl: what stands in them is to be replaced by hand.
  const filled = path.replace(/^\//, '').replace(/\{(\w+)\}/g, (_, name) => placeholder(name));
  const url = new URL(filled, document.baseURI);
  // A password in the page's address does not belong into lines to copy.
  url.username = '';
  url.password = '';
  return url.href;
}

/** How curl signs in as the caller does. */
export function credentialOptions({ name, credential }) {
  return credential === 'api_key' ? `-H @${HEADER_FILE}` : `-u ${shellWord(name)}`;
}

/** One call: `query` is a list of `[name, value]`, `body` a value for JSON or undefined, `credentials` options or an empty text. */
export function curlLine({ method, path, query = [], body, credentials }) {
  const parameters = query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
  const url = `${serviceAddress(path)}${parameters === '' ? '' : `?${parameters}`}`;
  const words = [
    'curl',
    ...(credentials ? [credentials] : []),
    // With a body curl would send POST anyway, and GET without one.
    ...(method === (body === undefined ? 'GET' : 'POST') ? [] : [`-X ${method}`]),
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", '-d @-']),
    shellWord(url),
  ];
  if (body === undefined) return words.join(' ');
  // The body goes through standard input: arguments are seen by everybody on the machine.
  return `${words.join(' ')} <<'${BODY_END}'\n${JSON.stringify(body, null, 2)}\n${BODY_END}`;
}

/** What a reader has to put in. */
export function placeholder(name) {
  return name.toUpperCase();
}
