// One connector: its attributes, its secret on request, who has seen that, and how other tools use the connector.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { connectorPath, request } from '../api.js';
import { goTo } from '../fragment.js';
import { announce, buttonTo, copyButton, loading, moment, number, problem, remark, snippet } from '../parts.js';
import { endpointOf, labelOf, providerOf } from '../providers.js';
import { session } from '../session.js';
import { snippetsOf } from '../snippets.js';
import { destruction } from './destruction.js';

const READERS_SHOWN = 50;

/** Opens the view. */
export function openConnector(route, redraw) {
  const selector = route.path[1];
  const shown = { connector: null, error: null, secrets: null, revealError: null, readers: null, readersError: null };
  let isRevealing = false;

  const load = async () => {
    if (!session.can('cloud_connectors', 'show')) return;
    shown.error = null;
    // What was revealed may be another one by now.
    shown.secrets = null;
    try {
      ({ body: shown.connector } = await request('GET', connectorPath(selector), { query: { reveal: 'false' } }));
      redraw();
      if (session.can('audit_events', 'index')) await loadReaders();
    } catch (error) {
      shown.error = error;
    }
    redraw();
  };
  const loadReaders = async () => {
    try {
      const { body } = await request('GET', `${connectorPath(shown.connector.id)}/secret_readers`, { query: { limit: READERS_SHOWN } });
      shown.readers = body;
      shown.readersError = null;
    } catch (error) {
      shown.readersError = error;
    }
  };
  /** From now on the secret is in the page's memory, and the audit trail says so. */
  const reveal = async () => {
    if (isRevealing) return;
    isRevealing = true;
    shown.revealError = null;
    try {
      ({ body: shown.secrets } = await request('GET', connectorPath(shown.connector.id)));
      announce('The secret is shown');
      if (session.can('audit_events', 'index')) await loadReaders();
    } catch (error) {
      shown.revealError = error;
    }
    isRevealing = false;
    redraw();
    focusIn('secret_key');
  };
  const hide = () => {
    shown.secrets = null;
    redraw();
    focusIn('secret_key');
  };
  const removal = destruction(redraw, () => goTo(['connectors']));

  load();
  return {
    get title() {
      return shown.connector?.name ?? 'Connector';
    },
    resume: load,
    draw: () => {
      if (!session.can('cloud_connectors', 'show')) {
        return html`<h1 tabindex="-1">Connector</h1>
          ${remark(html`<p>This key may not show connectors: it lacks the scope <code>cloud_connectors / show</code>.</p>`)}`;
      }
      const { connector, error } = shown;
      return html`
        <div class="title-row">
          <h1 tabindex="-1">${connector?.name ?? 'Connector'}</h1>
          ${connector === null ? nothing : actions(connector, removal)}
        </div>
        ${error !== null ? problem(error, load) : connector === null ? loading('Loading the connector…') : body(shown, reveal, hide)}
        ${removal.draw()}`;
    },
  };
}

/** The button that was pressed is gone: the one in its place takes the focus. */
function focusIn(attribute) {
  if (document.activeElement === document.body) document.querySelector(`[data-attribute="${attribute}"] button`)?.focus();
}

function actions({ id, ...connector }, removal) {
  return html`
    <div class="buttons">
      ${session.can('cloud_connectors', 'test') ? buttonTo('Test', ['connectors', id, 'test'], { kind: 'small', first: () => session.wantTest(id) }) : nothing}
      ${session.can('cloud_connectors', 'update') ? buttonTo('Edit', ['connectors', id, 'edit'], { kind: 'secondary outline small' }) : nothing}
      ${session.can('cloud_connectors', 'destroy')
        ? html`<button type="button" class="danger outline small" @click=${() => removal.ask({ id, ...connector })}>Destroy</button>`
        : nothing}
    </div>`;
}

function body(shown, reveal, hide) {
  const { connector, secrets } = shown;
  const known = secrets ?? connector;
  const row = (attribute, value, kind = 'verbatim') => html`<div data-attribute=${attribute}><dt>${labelOf(connector.provider, attribute)}</dt><dd class=${kind}>${value ?? html`<span class="unset">–</span>`}</dd></div>`;
  return html`
    <dl class="attributes">
      ${row('provider', providerOf(connector.provider).name, 'plain')}
      ${row('url', connector.url ?? (endpointOf(connector) ? html`${endpointOf(connector)} <span class="hint">(of the provider)</span>` : null))}
      ${row('region', connector.region)}
      ${row('access_key', connector.access_key)}
      ${row('secret_key', secretValue(shown, reveal, hide))}
      ${row('url_proxy', known.url_proxy)}
      ${row('options', known.options)}
    </dl>
    ${shown.revealError === null ? nothing : problem(shown.revealError)}
    ${shown.readersError === null ? drawReaders(shown.readers) : problem(shown.readersError)}
    <h2>Use it elsewhere</h2>
    ${secrets === null
      ? html`<p class="hint">The secret stands as a placeholder${session.can('cloud_connectors', 'get_secret_key') ? ' until you reveal it' : ''}. Put the name of a bucket where it says BUCKET.</p>`
      : html`<p class="hint">These lines hold the secret. Put the name of a bucket where it says BUCKET.</p>`}
    ${snippetsOf(known, secrets?.secret_key ?? null).map(({ title, text, note }) => snippet(title, text, note))}`;
}

function secretValue({ connector, secrets }, reveal, hide) {
  if (!session.can('cloud_connectors', 'get_secret_key')) return html`<span class="unset">not for this key to see</span>`;
  if (secrets === null) {
    return html`<span class="unset">hidden, if one is saved</span>
      <button type="button" class="small outline" aria-label="Reveal the secret of ${connector.name}" @click=${reveal}>Reveal</button>`;
  }
  return html`
    ${secrets.secret_key === null ? html`<span class="unset">none is saved</span>` : html`<span class="secret">${secrets.secret_key}</span> ${copyButton('the secret', () => secrets.secret_key)}`}
    <button type="button" class="small secondary outline" @click=${hide}>Hide</button>`;
}

function drawReaders(readers) {
  if (readers === null) return nothing;
  const { count, secret_readers: list } = readers;
  return html`
    <details>
      <summary>Who has seen this secret since it last changed: ${count === 0 ? 'nobody' : number(count)}</summary>
      ${count === 0
        ? html`<p>Nobody, as far back as the audit trail goes.</p>`
        : html`
            <div class="table-frame" tabindex="0" role="region" aria-label="Who has seen the secret">
              <table>
                <caption class="visually-hidden">Who has seen the secret</caption>
                <thead><tr><th scope="col">Who</th><th scope="col">From</th><th scope="col">First</th><th scope="col">Last</th><th scope="col" class="number">Times</th></tr></thead>
                <tbody>
                  ${list.map((reader) => html`<tr>
                    <th scope="row">${reader.api_key_name ? html`key ${reader.api_key_name} of ${reader.user_name}` : (reader.user_name ?? reader.caller)}</th>
                    <td class="verbatim">${reader.client ?? ''}</td>
                    <td>${moment(reader.first_at)}</td>
                    <td>${moment(reader.last_at)}</td>
                    <td class="number">${number(reader.count)}</td>
                  </tr>`)}
                </tbody>
              </table>
            </div>
            ${list.length < count ? html`<p class="hint">The last ${number(list.length)} of them.</p>` : nothing}`}
    </details>`;
}
