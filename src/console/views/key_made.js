// A new API key, whole, this once: how to keep it, and how to use it.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { buttonTo, moment, snippet } from '../parts.js';
import { HEADER_FILE, curlLine } from './curl_lines.js';

/** Draws the view of a key that was just made; `made` is the service's answer. */
export function drawMadeKey(made) {
  const { name, key, expires_at: expiresAt, api_key_scopes: scopes } = made;
  const mayList = scopes.some(({ controller, action }) => controller === 'cloud_connectors' && action === 'index');
  const call = mayList ? { path: '/api/v2/cloud_connectors', query: [['limit', '10']] } : { path: '/api/v2/users/me' };
  return html`
    <h1 tabindex="-1">Your new API key${name ? html` <span class="verbatim">${name}</span>` : nothing}</h1>
    <div class="notice" role="note">
      <p><strong>Copy the key now: it is not shown again.</strong> connectord keeps only what it needs to recognize it. Whoever has
        the key may do what it may do${expiresAt === null ? nothing : html`, until ${moment(expiresAt)}`}.</p>
    </div>
    ${snippet('API key', key)}
    <h2>Using it with curl</h2>
    <p>Programs that take a header from a file keep the key out of the list of processes, which everybody on a machine can read,
      and out of the shell’s history.</p>
    <ol class="steps">
      <li>${snippet('Command that makes a file', `(umask 077; cat > ${HEADER_FILE})`,
        'It waits for a line; only you can read the file.')}</li>
      <li>${snippet('Line for the file', `Authorization: Bearer ${key}`, 'Paste it, then press Enter and Ctrl+D.')}</li>
      <li>${snippet(mayList ? 'Call that lists connectors' : 'Call that says what the key may do',
        curlLine({ method: 'GET', credentials: `-H @${HEADER_FILE}`, ...call }))}</li>
    </ol>
    <div class="buttons">
      ${buttonTo('I have copied it: back to the keys', ['keys'])}
    </div>`;
}
