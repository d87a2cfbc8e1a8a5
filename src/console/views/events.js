// The audit trail: who changed or saw what, from where and when. Filters and pages are the API's own, and stand in the address.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { address, showAs } from '../fragment.js';
import { behindTheEnd, containing, followList, offsetOf } from '../lists.js';
import { loading, moment, number, pager, problem, remark } from '../parts.js';
import { session } from '../session.js';
import { EVENT_KINDS, attributesInWords, callerInWords, eventSentence } from './event_words.js';

const PAGE_ITEMS = 50;
const NO_FILTERS = { kind: '', user: '', subject: '' };

/** Opens the view. */
export function openEvents(route, redraw) {
  const events = followList(
    {
      path: 'audit_events',
      what: 'events',
      mayAsk: () => session.can('audit_events', 'index'),
      parse,
      queryFor,
      showAs: (wanted) => showAs(['events'], forAddress(wanted)),
    },
    route,
    redraw,
  );

  events.load();
  return {
    title: 'Events',
    update: events.update,
    resume: events.load,
    close: events.close,
    draw: () => html`
      <div class="title-row">
        <h1 tabindex="-1">Events</h1>
        ${session.can('audit_events', 'index')
          ? html`<button type="button" class="secondary outline small" @click=${events.load}>Load again</button>`
          : nothing}
      </div>
      ${session.can('audit_events', 'index')
        ? html`
            <p>What was changed, whose secrets were seen, and who was not let in. The oldest events make way for new ones.</p>
            ${filters(events)} ${list(events)}`
        : remark(html`<p>This key may not see events: it lacks the scope <code>audit_events / index</code>.</p>`)}`,
  };
}

/** What an address asks for. */
function parse(query) {
  return {
    kind: query.get('kind') ?? '',
    user: query.get('user') ?? '',
    subject: query.get('subject') ?? '',
    offset: offsetOf(query),
  };
}

function forAddress({ kind, user, subject, offset }) {
  return { kind, user, subject, offset: offset || null };
}

/** The same as the API is asked for it: by the last time that something happened, which is what the table shows. */
function queryFor({ kind, user, subject, offset }) {
  return {
    limit: PAGE_ITEMS,
    offset,
    sort_by: 'last_at:desc',
    kind: kind === '' ? null : `=${kind}`,
    user_name: containing(user),
    subject_name: containing(subject),
  };
}

function filters({ wanted, narrow }) {
  const search = (name, label) => html`
    <div>
      <label for="events-${name}">${label}</label>
      <input id="events-${name}" type="search" autocomplete="off" spellcheck="false" autocapitalize="off"
        .value=${live(wanted[name])} @input=${(event) => narrow({ [name]: event.target.value })}>
    </div>`;
  // An address may name a kind that is newer than this page.
  const isKnown = wanted.kind === '' || EVENT_KINDS.some(([name]) => name === wanted.kind);
  const kinds = isKnown ? EVENT_KINDS : [...EVENT_KINDS, [wanted.kind, wanted.kind]];
  return html`
    <search aria-label="Events"><form class="filters" @submit=${(event) => event.preventDefault()}>
      <div>
        <label for="events-kind">What happened</label>
        <select id="events-kind" @change=${(event) => narrow({ kind: event.target.value })}>
          <option value="" .selected=${live(wanted.kind === '')}>Everything</option>
          ${kinds.map(([name, title]) => html`<option value=${name} .selected=${live(name === wanted.kind)}>${title}</option>`)}
        </select>
      </div>
      ${search('user', 'By which user')} ${search('subject', 'Name of the connector or key')}
    </form></search>`;
}

function list({ shown, error, isBusy, load, narrow }) {
  if (error !== null && !isBusy) return problem(error, load);
  if (shown === null) return loading('Loading the events…');
  const { asked, count, audit_events: events } = shown;
  if (count === 0) return empty(asked, narrow);
  if (events.length === 0) {
    return behindTheEnd(address(['events'], { ...forAddress(asked), offset: null }));
  }
  return html`
    <div class=${isBusy ? 'table-frame stale' : 'table-frame'} role="region" aria-label="Events" tabindex="0">
      <table class="striped">
        <caption class="visually-hidden">Events, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">What</th>
            <th scope="col">By</th>
            <th scope="col" class="minor-on-phones">From</th>
            <th scope="col" class="minor">Request</th>
          </tr>
        </thead>
        <tbody>
          ${repeat(events, ({ id }) => id, row)}
        </tbody>
      </table>
    </div>
    ${pager({ offset: asked.offset, limit: PAGE_ITEMS, count, shown: events.length, what: 'events',
      hrefAt: (offset) => address(['events'], { ...forAddress(asked), offset: offset || null }) })}`;
}

function row(event) {
  const { first_at: firstAt, last_at: lastAt, count, client, request_id: requestId } = event;
  const attributes = attributesInWords(event);
  return html`
    <tr>
      <td class="when">
        ${moment(lastAt)}
        ${count > 1 ? html`<span class="hint">${number(count)} times since ${moment(firstAt)}</span>` : nothing}
      </td>
      <th scope="row" class="what">
        ${eventSentence(event)} ${attributes === null ? nothing : html`<span class="hint">${attributes}</span>`}
      </th>
      <td class="caller">${callerInWords(event)}</td>
      <td class="verbatim no-break minor-on-phones">${client ?? html`<span class="unset">no network</span>`}</td>
      <td class="verbatim request-id minor">${requestId ?? html`<span class="unset">none</span>`}</td>
    </tr>`;
}

function empty({ kind, user, subject }, narrow) {
  if (kind === '' && user === '' && subject === '') {
    return html`
      <section class="empty">
        <h2>Nothing has happened yet</h2>
        <p>Once a connector or an API key is added, changed or removed, or a secret is shown, it stands here.</p>
      </section>`;
  }
  const showAll = () => {
    narrow(NO_FILTERS);
    document.getElementById('events-kind').focus();
  };
  return remark(html`
    <p>No event is like this.</p>
    <button type="button" class="secondary small" @click=${showAll}>Show all</button>`);
}
