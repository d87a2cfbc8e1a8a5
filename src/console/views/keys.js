// The API keys of whoever is signed in: what each may do, until when, and revoking one.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { request } from '../api.js';
import { address } from '../fragment.js';
import { behindTheEnd, followList, offsetOf } from '../lists.js';
import { announce, buttonTo, confirmation, loading, moment, pager, problem, remark } from '../parts.js';
import { session } from '../session.js';
import { isPast } from './end_dates.js';
import { grantedScopes, scopesInWords } from './scope_words.js';

const PAGE_ITEMS = 25;
const VISIBLE_CHARACTERS = 4;

/** Opens the view. */
export function openKeys(route, redraw) {
  const keys = followList(
    {
      path: 'users/me/api_keys',
      what: 'API keys',
      mayAsk: () => session.can('api_keys', 'index'),
      parse: (query) => ({ offset: offsetOf(query) }),
      queryFor: ({ offset }) => ({ limit: PAGE_ITEMS, offset }),
    },
    route,
    redraw,
  );
  const revocation = revocationOf(redraw, keys.loadWithoutRow);

  keys.load();
  return {
    title: 'API keys',
    update: keys.update,
    resume: keys.load,
    close: keys.close,
    draw: () => html`
      <div class="title-row">
        <h1 tabindex="-1">API keys</h1>
        ${session.can('api_keys', 'create') ? buttonTo('New API key', ['keys', 'new']) : nothing}
      </div>
      <p>A tool signs in with a key of its own, that may do only what the tool needs, and that can be revoked by itself.</p>
      ${session.can('api_keys', 'index')
        ? list(keys, revocation)
        : remark(html`<p>This key may not list API keys: it lacks the scope <code>api_keys / index</code>.
            ${session.can('api_keys', 'create') ? 'It may make new ones.' : nothing}</p>`)}
      ${revocation.draw()}`,
  };
}

/** The dialog that asks before a key is revoked. */
function revocationOf(redraw, done) {
  let dialog = null;
  return {
    ask(key) {
      const isOwn = session.me.api_key?.id === key.id;
      dialog = confirmation(
        {
          id: 'revocation',
          title: 'Revoke this API key?',
          text: html`Tools that sign in with <strong class="verbatim">${nameOf(key)}</strong> are refused from their next request
            on. A revoked key cannot be brought back.
            ${isOwn ? html`<strong>You are signed in with it: revoking it shuts you out.</strong>` : nothing}`,
          button: 'Revoke',
          act: async () => {
            await request('DELETE', `users/me/api_keys/${key.id}`);
            announce(`${nameOf(key)} is revoked`);
            done();
          },
        },
        redraw,
      );
      dialog.open();
    },
    draw: () => dialog?.draw() ?? nothing,
  };
}

function nameOf({ id, name }) {
  return name ?? `Key ${id}, without a name`;
}

function list({ shown, error, isBusy, load }, revocation) {
  if (error !== null && !isBusy) return problem(error, load);
  if (shown === null) return loading('Loading the API keys…');
  const { asked: { offset }, count, api_keys: keys } = shown;
  if (count === 0) return empty();
  if (keys.length === 0) {
    return behindTheEnd(address(['keys']));
  }
  return html`
    <div class=${isBusy ? 'table-frame stale' : 'table-frame'} role="region" aria-label="API keys" tabindex="0">
      <table class="striped">
        <caption class="visually-hidden">API keys, the oldest first</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="minor-on-phones">Key</th>
            <th scope="col">May do</th>
            <th scope="col" class="minor-on-phones">Expires</th>
            <th scope="col" class="minor-on-phones">Last used</th>
            <th scope="col"><span class="visually-hidden">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          ${repeat(keys, ({ id }) => id, (key) => row(key, revocation))}
        </tbody>
      </table>
    </div>
    ${pager({ offset, limit: PAGE_ITEMS, count, shown: keys.length, what: 'API keys',
      hrefAt: (at) => address(['keys'], { offset: at || null }) })}`;
}

function row(key, revocation) {
  const { id, name, key: masked, api_key_scopes: scopes, expires_at: expiresAt, last_used_at: lastUsedAt } = key;
  const { all_scopes: allScopes, api_key: own } = session.me;
  const isOver = expiresAt !== null && isPast(expiresAt);
  return html`
    <tr>
      <th scope="row" class="name">
        ${name ?? html`<span class="unset">without a name</span>`}
        ${own?.id === id ? html`<span class="hint">you are signed in with it</span>` : nothing}
      </th>
      <td class="verbatim no-break minor-on-phones"><span aria-hidden="true">••••</span><span class="visually-hidden">ends in
        </span>${masked.slice(-VISIBLE_CHARACTERS)}</td>
      <td>${scopeList(scopes, allScopes)}</td>
      <td class="no-break minor-on-phones">
        ${expiresAt === null ? 'never' : moment(expiresAt)} ${isOver ? html`<strong class="over">expired</strong>` : nothing}
      </td>
      <td class="no-break minor-on-phones">${lastUsedAt === null ? 'never' : moment(lastUsedAt)}</td>
      <td class="actions">${revokeButton(key, allScopes, revocation)}</td>
    </tr>`;
}

function scopeList(scopes, allScopes) {
  const groups = scopesInWords(scopes, allScopes);
  if (groups.length === 0) return html`<span class="unset">nothing</span>`;
  return html`
    <ul class="scope-list">
      ${groups.map(({ title, actions, isExplicit }) =>
        isExplicit
          ? html`<li><strong class="explicit">${title}: ${actions.join(', ')}</strong></li>`
          : html`<li>${title}: ${actions.join(', ')}</li>`)}
    </ul>`;
}

/** A key can revoke only keys whose every scope it holds itself. */
function revokeButton(key, allScopes, revocation) {
  if (!session.can('api_keys', 'destroy')) return nothing;
  const isCovered = grantedScopes(key.api_key_scopes, allScopes).every(({ controller, action }) => session.can(controller, action));
  if (!isCovered) return html`<span class="hint">May do more than your key, which cannot revoke it.</span>`;
  return html`
    <button type="button" class="danger outline small" aria-label="Revoke ${nameOf(key)}"
      @click=${() => revocation.ask(key)}>Revoke</button>`;
}

function empty() {
  return html`
    <section class="empty">
      <h2>There is no API key yet</h2>
      <p>Make one for each tool that asks for connectors: a backup tool, a script, another machine. It can be revoked without
        changing your password.</p>
      ${session.can('api_keys', 'create')
        ? buttonTo('Make the first API key', ['keys', 'new'])
        : html`<p>This key may not make keys.</p>`}
    </section>`;
}
