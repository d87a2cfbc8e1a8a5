// The API reference, made from the service's own OpenAPI document, with a line for curl for each operation.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { repeat } from '../vendor/lit-html/directives/repeat.js';
import { request } from '../api.js';
import { showAs } from '../fragment.js';
import { announce, loading, number, problem, remark, snippet } from '../parts.js';
import { session } from '../session.js';
import { HEADER_FILE, credentialOptions, curlLine, placeholder } from './curl_lines.js';
import { byGroup, matching, operationsOf } from './operations.js';
import { actionTitle, controllerTitle } from './scope_words.js';

/** Opens the view. */
export function openReference(route, redraw) {
  let filter = route.query.get('filter') ?? '';
  let operations = null;
  let error = null;
  const load = async () => {
    error = null;
    redraw();
    try {
      const { body } = await request('GET', 'openapi.json');
      operations = operationsOf(body);
    } catch (caught) {
      error = caught;
    }
    redraw();
  };
  const narrow = (text) => {
    filter = text;
    showAs(['reference'], { filter });
    redraw();
    if (operations !== null) announce(`${number(matching(operations, filter).length)} operations`);
  };

  load();
  return {
    title: 'API reference',
    update(newRoute) {
      filter = newRoute.query.get('filter') ?? '';
      return true;
    },
    resume() {
      if (operations === null) load();
    },
    draw: () => html`
      <h1 tabindex="-1">API reference</h1>
      ${introduction()} ${filterBox(filter, narrow)} ${list(operations, error, load, filter, narrow)}`,
  };
}

function introduction() {
  const { name, credential } = session.me;
  return html`
    <p>Everything that this page does, programs can do too. The lines for curl work from a machine that reaches this address;
      words in capitals are to be replaced. Programs that make clients can read
      <a href="api/v2/openapi.json" target="_blank" rel="noopener">the OpenAPI document</a>.</p>
    ${credential === 'api_key'
      ? html`<p>You are signed in with an API key: curl reads it from the file <code>${HEADER_FILE}</code>, whose one line is
          <code>Authorization: Bearer ${placeholder('key')}</code>, so that it stands in no list of processes.</p>`
      : html`<p>You are signed in as <strong class="verbatim">${name}</strong>: curl asks for the password. Programs better have an
          API key of their own.</p>`}`;
}

function filterBox(filter, narrow) {
  return html`
    <search aria-label="Operations"><form class="filters" @submit=${(event) => event.preventDefault()}>
      <div>
        <label for="reference-filter">Search operations</label>
        <input id="reference-filter" type="search" autocomplete="off" spellcheck="false" autocapitalize="off"
          placeholder="connectors test" .value=${live(filter)} @input=${(event) => narrow(event.target.value)}>
      </div>
    </form></search>`;
}

function list(operations, error, load, filter, narrow) {
  if (error !== null) return problem(error, load);
  if (operations === null) return loading('Loading the reference…');
  const found = matching(operations, filter);
  if (found.length === 0) {
    const showAll = () => {
      narrow('');
      document.getElementById('reference-filter').focus();
    };
    return remark(html`
      <p>No operation is like this.</p>
      <button type="button" class="secondary small" @click=${showAll}>Show all</button>`);
  }
  return html`${repeat(byGroup(found), ({ group }) => group, ({ group, operations: members }) => html`
    <section class="operations">
      <h2>${controllerTitle(group)}</h2>
      ${repeat(members, ({ id }) => id, drawOperation)}
    </section>`)}`;
}

function drawOperation(operation) {
  const { method, path, summary, description, parameters, body, answers } = operation;
  return html`
    <details class="operation">
      <summary>
        <span class="method">${method}</span> <span class="verbatim path">${path}</span> <span class="what">${summary}</span>
      </summary>
      ${description === '' ? nothing : html`<p>${description}</p>`}
      ${access(operation)}
      ${parameters.length === 0 ? nothing : html`<h3>Parameters</h3>${attributeList(parameters)}`}
      ${body === null
        ? nothing
        : html`<h3>Body</h3>
            ${body.description === '' ? nothing : html`<p>${body.description}</p>`}
            ${attributeList(body.attributes)}`}
      <h3>Answers</h3>
      ${drawAnswers(answers)}
      ${snippet(`curl: ${summary.replace(/\.$/, '')}`, callOf(operation))}
    </details>`;
}

/** Which scope a key needs, and whether the caller has it. */
function access({ scope, isPublic }) {
  if (isPublic) return html`<p>Open to anybody, without signing in.</p>`;
  if (scope === null) return html`<p>For whoever is signed in; no scope is needed.</p>`;
  const isHeld = session.can(scope.controller, scope.action);
  return html`
    <p>
      Scope that a key needs: <code>${scope.controller} / ${scope.action}</code>
      (${controllerTitle(scope.controller)}: ${actionTitle(scope.action)}).
      ${isHeld ? nothing : html`<strong>Your key lacks it.</strong>`}
    </p>`;
}

function attributeList(attributes) {
  return html`
    <dl class="attributes">
      ${attributes.map(({ name, place, isRequired, type, description }) => html`
        <div>
          <dt><code>${name}</code>${isRequired ? html` <span class="required">(needed)</span>` : nothing}</dt>
          <dd>
            ${description}
            <span class="hint">${type}${place === 'path' ? ', in the path' : nothing}</span>
          </dd>
        </div>`)}
    </dl>`;
}

function drawAnswers(answers) {
  const good = answers.filter(({ isError }) => !isError);
  const errors = answers.filter(({ isError }) => isError);
  return html`
    ${good.map(({ status, description, attributes }) => html`
      <p><strong>${status}</strong> ${description}</p>
      ${attributes.length === 0
        ? nothing
        : html`<details class="inner"><summary>What the answer ${status} holds</summary>
            ${attributeList(attributes.map((attribute) => ({ ...attribute, isRequired: false })))}</details>`}`)}
    <details class="inner">
      <summary>Errors</summary>
      <p>Every error has <code>messages</code>, sentences for people, and <code>details</code>, the same for programs: by
        attribute (or <code>base</code>), each with <code>error</code>.</p>
      <dl class="attributes">
        ${errors.map(({ status, description }) => html`<div><dt>${status}</dt><dd>${description}</dd></div>`)}
      </dl>
    </details>`;
}

function callOf({ method, path, parameters, body, isPublic }) {
  return curlLine({
    method,
    path,
    query: parameters.filter(({ place, isRequired }) => place === 'query' && isRequired).map(({ name }) => [name, placeholder(name)]),
    body: body === null ? undefined : body.example,
    credentials: isPublic ? '' : credentialOptions(session.me),
  });
}
