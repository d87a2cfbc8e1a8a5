// The table of connectors: search, filter, order and pages are the API's own, and stand in the address.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { address, goTo, showAs } from '../fragment.js';
import { behindTheEnd, containing, followList, offsetOf } from '../lists.js';
import { buttonTo, loading, pager, problem, remark } from '../parts.js';
import { PROVIDERS, endpointOf, providerOf } from '../providers.js';
import { session } from '../session.js';
import { destruction } from './destruction.js';

const PAGE_ITEMS = 25;
const COLUMNS = [
  { attribute: 'name', title: 'Name' },
  { attribute: 'provider', title: 'Provider' },
  { attribute: 'url', title: 'Endpoint', width: 'minor-on-phones' },
  { attribute: 'region', title: 'Region', width: 'minor' },
  { attribute: 'access_key', title: 'Access key', width: 'minor' },
];

/** Opens the view. */
export function openConnectors(route, redraw) {
  const connectors = followList(
    {
      path: 'cloud_connectors',
      what: 'connectors',
      mayAsk: () => session.can('cloud_connectors', 'index'),
      parse,
      queryFor,
      showAs: (wanted) => showAs(['connectors'], wanted.forAddress()),
    },
    route,
    redraw,
  );
  const removal = destruction(redraw, connectors.loadWithoutRow);

  connectors.load();
  return {
    title: 'Connectors',
    update: connectors.update,
    resume: connectors.load,
    close: connectors.close,
    draw: () => html`
      <div class="title-row">
        <h1 tabindex="-1">Connectors</h1>
        ${session.can('cloud_connectors', 'create')
          ? buttonTo('New connector', ['connectors', 'new'])
          : nothing}
      </div>
      ${session.can('cloud_connectors', 'index')
        ? html`${filters(connectors)} ${list(connectors, removal)}`
        : withoutIndex()}
      ${removal.draw()}`,
  };
}

/** What an address asks for. */
function parse(query) {
  const sort = /^(\w+):(asc|desc)$/.exec(query.get('sort') ?? '');
  const isColumn = sort && COLUMNS.some(({ attribute }) => attribute === sort[1]);
  return {
    search: query.get('search') ?? '',
    provider: query.get('provider') ?? '',
    sortBy: isColumn ? sort[1] : 'name',
    isDescending: isColumn ? sort[2] === 'desc' : false,
    offset: offsetOf(query),
    forAddress() {
      const sorted = this.sortBy === 'name' && !this.isDescending ? null : `${this.sortBy}:${this.isDescending ? 'desc' : 'asc'}`;
      return { search: this.search, provider: this.provider, sort: sorted, offset: this.offset || null };
    },
  };
}

/** The same as the API is asked for it. */
function queryFor({ search, provider, sortBy, isDescending, offset }) {
  return {
    limit: PAGE_ITEMS,
    offset,
    sort_by: `${sortBy}:${isDescending ? 'desc' : 'asc'}`,
    name: containing(search),
    provider: provider || null,
    reveal: 'false',
  };
}

function filters({ wanted, narrow }) {
  return html`
    <search><form class="filters" @submit=${(event) => event.preventDefault()}>
      <div>
        <label for="search">Search names</label>
        <input id="search" type="search" autocomplete="off" spellcheck="false" .value=${live(wanted.search)}
          @input=${(event) => narrow({ search: event.target.value })}>
      </div>
      <div>
        <label for="provider-filter">Provider</label>
        <select id="provider-filter" .value=${live(wanted.provider)} @change=${(event) => narrow({ provider: event.target.value })}>
          <option value="">All</option>
          ${PROVIDERS.map(({ id, name }) => html`<option value=${id} ?selected=${id === wanted.provider}>${name}</option>`)}
        </select>
      </div>
    </form></search>`;
}

function list({ shown, error, isBusy, load, narrow }, removal) {
  if (error !== null && !isBusy) return problem(error, load);
  if (shown === null) return loading('Loading the connectors…');
  const { asked, count, cloud_connectors: connectors } = shown;
  if (count === 0) return empty(asked, narrow);
  if (connectors.length === 0) {
    return behindTheEnd(address(['connectors'], { ...asked.forAddress(), offset: null }));
  }
  return html`
    <div class=${isBusy ? 'table-frame stale' : 'table-frame'}>
      <table class="striped">
        <caption class="visually-hidden">Connectors, ordered by ${asked.sortBy}</caption>
        <thead>
          <tr>
            ${COLUMNS.map((column) => heading(column, asked))}
            <th scope="col"><span class="visually-hidden">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          ${repeat(connectors, ({ id }) => id, (connector) => row(connector, removal))}
        </tbody>
      </table>
    </div>
    ${pager({ offset: asked.offset, limit: PAGE_ITEMS, count, shown: connectors.length, what: 'connectors',
      hrefAt: (offset) => address(['connectors'], { ...asked.forAddress(), offset: offset || null }) })}`;
}

function heading({ attribute, title, width }, asked) {
  const isSorted = asked.sortBy === attribute;
  const isNextDescending = isSorted && !asked.isDescending;
  const href = address(['connectors'], { ...asked.forAddress(), offset: null, sort: `${attribute}:${isNextDescending ? 'desc' : 'asc'}` });
  return html`
    <th scope="col" class=${width ?? nothing} aria-sort=${isSorted ? (asked.isDescending ? 'descending' : 'ascending') : nothing}>
      <a href=${href}>${title}<span aria-hidden="true" class="sort-mark">${isSorted ? (asked.isDescending ? '▼' : '▲') : ''}</span></a>
    </th>`;
}

function row(connector, removal) {
  const { id, name, provider, region, access_key: accessKey } = connector;
  const mayShow = session.can('cloud_connectors', 'show');
  return html`
    <tr>
      <th scope="row" class="name">${mayShow ? html`<a href=${address(['connectors', id])}>${name}</a>` : name}</th>
      <td>${providerOf(provider).name}</td>
      <td class="verbatim minor-on-phones">${endpointOf(connector) ?? ''}</td>
      <td class="minor">${region ?? ''}</td>
      <td class="minor verbatim">${accessKey ?? ''}</td>
      <td class="actions">
        ${mayShow && session.can('cloud_connectors', 'test')
          ? buttonTo('Test', ['connectors', id, 'test'], { label: `Test ${name}`, kind: 'outline small', first: () => session.wantTest(id) })
          : nothing}
        ${mayShow && session.can('cloud_connectors', 'update')
          ? buttonTo('Edit', ['connectors', id, 'edit'], { label: `Edit ${name}`, kind: 'secondary outline small' })
          : nothing}
        ${session.can('cloud_connectors', 'destroy')
          ? html`<button type="button" class="danger outline small" aria-label="Destroy ${name}" @click=${() => removal.ask(connector)}>Destroy</button>`
          : nothing}
      </td>
    </tr>`;
}

function empty({ search, provider }, narrow) {
  if (search !== '' || provider !== '') {
    return remark(html`
      <p>No connector is like this.</p>
      <button type="button" class="secondary small" @click=${() => showAll(narrow)}>Show all</button>`);
  }
  return html`
    <section class="empty">
      <h2>There is no connector yet</h2>
      <p>A connector is an endpoint, a provider and credentials: what your backup tool needs to reach a cloud. Add one here,
        test it, and tools on your network can ask for it.</p>
      ${session.can('cloud_connectors', 'create')
        ? buttonTo('Add the first connector', ['connectors', 'new'])
        : html`<p>This key may not create connectors.</p>`}
    </section>`;
}

/** The button goes with what it is pressed for: whoever typed the search is led back there. */
function showAll(narrow) {
  document.getElementById('search').focus();
  narrow({ search: '', provider: '' });
}

/** A key that may show connectors, but not list them, has to know what it wants. */
function withoutIndex() {
  const open = (event) => {
    event.preventDefault();
    const selector = new FormData(event.target).get('selector').trim();
    if (selector !== '') goTo(['connectors', selector]);
  };
  return html`
    ${remark(html`<p>This key may not list connectors: it lacks the scope <code>cloud_connectors / index</code>.</p>`)}
    ${session.can('cloud_connectors', 'show')
      ? html`<form class="filters" @submit=${open}>
          <div><label for="selector">Open a connector by its name or number</label>
            <input id="selector" name="selector" autocomplete="off" spellcheck="false"></div>
          <button type="submit">Open</button>
        </form>`
      : nothing}`;
}
