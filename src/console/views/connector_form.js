// Adding and changing a connector, in a form that fits its provider; it can be tested before it is saved.

import { html, noChange, nothing } from '../vendor/lit-html/lit-html.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { ApiError, Unreachable, connectorPath, request } from '../api.js';
import { address, goTo, showAs } from '../fragment.js';
import { drawJob, followJob, toField } from '../jobs.js';
import { announce, buttonTo, field, loading, problem, remark } from '../parts.js';
import { problemsByAttribute } from '../problems.js';
import { PROVIDERS, inFormWords, labelOf, providerOf } from '../providers.js';
import { session } from '../session.js';
import { drawProbing, probedNames } from './probing.js';

const FORM = 'connector';
const TEXTS = ['name', 'url', 'region', 'access_key', 'url_proxy', 'options'];
const ATTRIBUTES = ['name', 'provider', 'url', 'region', 'access_key', 'secret_key', 'url_proxy', 'options'];
const EMPTY = { provider: 'generic_s3', name: '', url: '', region: '', access_key: '', secret_key: '', url_proxy: '', options: '', removesSecret: false, probed: '' };

/** Opens the view: a new connector, or `connectors/ID/edit`. */
export function openConnectorForm(route, redraw) {
  const selector = route.path[1] === 'new' ? null : route.path[1];
  const draft = `connector-${selector ?? 'new'}`;
  const here = selector === null ? ['connectors', 'new'] : ['connectors', selector, 'edit'];
  const form = {
    draft,
    /** What is saved; `null` for a new connector, or while it loads. */
    saved: null,
    values: { ...EMPTY },
    /** Whether the form shows what was typed before, and not saved. */
    hasDraft: false,
    /** What the test was of; `null` for one that the address named. */
    tested: null,
    /** Answers that come later neither lead anywhere nor say anything. */
    isOpen: true,
    isLoading: selector !== null,
    loadError: null,
    problems: {},
    error: null,
    isSaving: false,
    showsSecret: false,
    job: followJob(redraw),
    redraw,
  };

  const load = async () => {
    form.isLoading = true;
    form.loadError = null;
    try {
      const { body } = await request('GET', connectorPath(selector), { query: { reveal: 'false' } });
      form.saved = body;
      takeDraft(form);
      form.isLoading = false;
      redraw();
      const wanted = route.query.get('field');
      if (wanted !== null) focusField(wanted);
    } catch (error) {
      form.loadError = error;
      form.isLoading = false;
      redraw();
    }
  };
  if (selector === null) takeDraft(form);
  else load();
  const jobId = route.query.get('job');
  if (jobId !== null) form.job.find(jobId);

  form.onStarted = (id) => showAs(here, { job: id });
  form.title = selector === null ? 'New connector' : 'Edit';
  return {
    get title() {
      return form.saved === null ? form.title : `Edit ${form.saved.name}`;
    },
    update(newRoute) {
      const isSame = (newRoute.path[1] === 'new' ? null : newRoute.path[1]) === selector;
      const wanted = newRoute.query.get('field');
      if (isSame && wanted !== null) focusField(wanted);
      return isSame;
    },
    close() {
      form.isOpen = false;
      form.job.stop();
    },
    resume() {
      form.error = null;
      if (form.loadError === null) redraw();
      else load();
    },
    draw: () => draw(form, selector, load),
  };
}

function valuesOf(connector) {
  return { ...EMPTY, provider: connector.provider, ...Object.fromEntries(TEXTS.map((name) => [name, connector[name] ?? ''])) };
}

/** Takes up what was typed before. What somebody else has changed meanwhile stays changed, but for the same fields. */
function takeDraft(form) {
  const saved = form.saved === null ? { ...EMPTY } : valuesOf(form.saved);
  const draft = session.draft(form.draft);
  form.before = saved;
  form.hasDraft = draft !== undefined;
  form.values = draft === undefined
    ? saved
    : Object.fromEntries(Object.entries(draft.values).map(([name, value]) => [name, value === draft.before[name] ? saved[name] : value]));
}

/** The attributes that differ from what is saved; all that are set, of a new connector. */
function changes({ saved, values }) {
  const before = saved === null ? { ...EMPTY, provider: null } : valuesOf(saved);
  // A space that was pasted along is not seen.
  const trimmed = Object.fromEntries(['provider', ...TEXTS].map((name) => [name, values[name].trim()]));
  const changed = Object.fromEntries(Object.entries(trimmed).filter(([name, value]) => value !== before[name]));
  if (values.secret_key !== '') changed.secret_key = values.secret_key;
  else if (values.removesSecret) changed.secret_key = null;
  return changed;
}

function set(form, name, value) {
  form.values = { ...form.values, [name]: value };
  // The typed secret counts.
  if (name === 'secret_key' && value !== '') form.values.removesSecret = false;
  session.keepDraft(form.draft, { before: form.before, values: form.values });
  if (form.problems[name]) form.problems = { ...form.problems, [name]: undefined };
  form.redraw();
}

/** Shows what the service refused: all problems at their fields, the first one in focus. */
function showRefusal(form, error) {
  if (!form.isOpen) return;
  if (!(error instanceof ApiError) || error.status !== 422) {
    form.error = error;
    form.redraw();
    return;
  }
  if (form.saved !== null && form.values.url !== '' && error.details.url?.some(({ error: code }) => code === 'blank')) {
    // Of a connector that is gone no value is left to test with.
    form.error = new Error('This connector is gone: somebody has destroyed it meanwhile');
    form.redraw();
    return;
  }
  const labels = Object.fromEntries(ATTRIBUTES.map((name) => [name, labelOf(form.values.provider, name)]));
  const { base, ...problems } = problemsByAttribute(error, { ...labels, probe_buckets: 'Buckets' });
  const inWords = (texts) => texts.map((text) => inFormWords(form.values.provider, text));
  form.problems = Object.fromEntries(Object.entries(problems).map(([name, texts]) => [name, inWords(texts)]));
  form.error = base === undefined ? null : new Error(base.join('. '));
  form.redraw();
  const first = [...ATTRIBUTES, 'probe_buckets'].find((name) => problems[name] !== undefined);
  if (first !== undefined) focusField(first);
  const count = Object.keys(problems).length;
  announce(`${count} ${count === 1 ? 'field needs' : 'fields need'} a change`);
}

async function save(event, form) {
  event.preventDefault();
  if (form.isSaving) return;
  form.isSaving = true;
  form.error = null;
  form.problems = {};
  form.redraw();
  try {
    const path = form.saved === null ? 'cloud_connectors' : connectorPath(form.saved.id);
    // An empty name is sent too, so that all problems come at once.
    const body = { ...(form.saved === null ? { name: form.values.name.trim() } : {}), ...changes(form) };
    const owner = session.me;
    const answer = await request(form.saved === null ? 'POST' : 'PUT', path, { body, query: { reveal: 'false' } });
    if (session.me === owner) session.keepDraft(form.draft, null);
    if (!form.isOpen) return;
    form.values = { ...EMPTY };
    announce(`${answer.body.name} is saved`);
    goTo(session.can('cloud_connectors', 'show') ? ['connectors', answer.body.id] : ['connectors']);
  } catch (error) {
    form.isSaving = false;
    showRefusal(form, error);
  }
}

async function test(form) {
  form.error = null;
  form.problems = {};
  const { name, ...changed } = changes(form);
  const body = { ...changed, ...(form.saved === null ? {} : { id: form.saved.id }) };
  const probed = probedNames(form.values.probed);
  if (probed.length > 0) body.probe_buckets = probed;
  form.tested = form.values;
  try {
    await form.job.start(body, form.onStarted);
  } catch (error) {
    showRefusal(form, error);
  }
}

/** Focuses the input of an attribute, and opens what it is folded into. */
function focusField(attribute) {
  const input = document.querySelector(`[data-attribute="${CSS.escape(attribute)}"] :is(input, select)`);
  const folded = input?.closest('details');
  if (folded) folded.open = true;
  input?.focus();
}

function draw(form, selector, load) {
  const isNew = selector === null;
  const action = isNew ? 'create' : 'update';
  if (!session.can('cloud_connectors', action)) {
    return html`<h1 tabindex="-1">${form.title}</h1>
      ${remark(html`<p>This key may not do that: it lacks the scope <code>cloud_connectors / ${action}</code>.</p>`)}`;
  }
  const heading = html`<h1 tabindex="-1">${isNew ? 'New connector' : `Edit ${form.saved?.name ?? ''}`}</h1>`;
  if (form.loadError !== null) return html`${heading} ${problem(form.loadError, load)}`;
  if (form.isLoading) return html`${heading} ${loading('Loading the connector…')}`;
  const cancel = () => session.keepDraft(form.draft, null);
  return html`
    ${heading}
    ${form.hasDraft
      ? remark(html`<p>This is what you typed before; it is not saved yet.</p>
          <button type="button" class="secondary small" @click=${() => dropDraft(form)}>Forget it</button>`)
      : nothing}
    <form class="connector-form" @submit=${(event) => save(event, form)} novalidate autocomplete="off">
      ${drawFields(form)}
      ${form.error === null ? nothing : problem(form.error)}
      ${isNew && form.error instanceof Unreachable
        ? remark(html`<p>It may have been saved all the same: look for it in <a href=${address(['connectors'])}>the list</a>.</p>`)
        : nothing}
      <div class="buttons">
        <button type="submit" aria-busy=${form.isSaving ? 'true' : nothing}>${isNew ? 'Save the connector' : 'Save the changes'}</button>
        ${session.can('cloud_connectors', 'test')
          ? html`<button type="button" class="outline" @click=${() => test(form)}>Test it first</button>`
          : nothing}
        ${buttonTo('Cancel', isNew ? ['connectors'] : ['connectors', form.saved.id], { kind: 'secondary outline', first: cancel })}
      </div>
      ${session.can('cloud_connectors', 'test')
        ? drawProbing(FORM, form.values.probed, form.problems.probe_buckets, (value) => set(form, 'probed', value))
        : nothing}
    </form>
    ${drawJob(form.job, {
      provider: form.values.provider,
      isOutdated: isOutdated(form),
      fieldButton: (attribute) => toField(attribute, form.values.provider, focusField),
      again: () => test(form),
    })}`;
}

function dropDraft(form) {
  session.keepDraft(form.draft, null);
  takeDraft(form);
  form.problems = {};
  form.redraw();
}

/** Whether the form holds other values by now than those that the test was of. */
function isOutdated({ tested, values }) {
  return tested === null || Object.keys(values).some((name) => name !== 'name' && values[name] !== tested[name]);
}

function drawFields(form) {
  const { values, problems } = form;
  const provider = providerOf(values.provider);
  const wellKnown = provider.wellKnown?.({ region: values.region, access_key: values.access_key }) ?? null;
  const input = (name, extra = {}) =>
    field({ form: FORM, name, label: labelOf(values.provider, name), value: values[name], problems: problems[name], onInput: (value) => set(form, name, value), ...extra });
  // Once open it stays so: nobody wants it folded up while they empty a field.
  const isNeeded = values.url_proxy !== '' || values.options !== '' || Boolean(problems.url_proxy) || Boolean(problems.options);
  return html`
    ${input('name', { placeholder: 'NAS backup', required: true, hint: 'What tools ask for. Unique, and not only digits.' })}
    <div class="field" data-attribute="provider">
      <label for="connector-provider">Provider</label>
      <select id="connector-provider" .value=${live(values.provider)} @change=${(event) => set(form, 'provider', event.target.value)}>
        ${PROVIDERS.map(({ id, name }) => html`<option value=${id} ?selected=${id === values.provider}>${name}</option>`)}
      </select>
      ${(problems.provider ?? []).map((text) => html`<p class="field-problem">${text}</p>`)}
    </div>
    ${input('url', { placeholder: wellKnown ?? provider.url.placeholder, required: provider.url.isNeeded ?? false, hint: provider.url.hint })}
    <div class="pair">
      ${input('access_key', { placeholder: provider.accessPlaceholder, hint: provider.accessHint })}
      ${drawSecret(form, provider)}
    </div>
    ${provider.region === null && values.region === ''
      ? nothing
      : input('region', { placeholder: provider.region?.placeholder, hint: provider.region?.hint ?? 'This provider has no regions.' })}
    <details open=${isNeeded ? '' : noChange}>
      <summary>Proxy and mount options</summary>
      ${input('url_proxy', { placeholder: 'http://proxy.lan:3128', hint: 'Only where the service is reached through a proxy: an http, https or socks5 address.' })}
      ${input('options', { placeholder: 'use_path_request_style,nomultipart', hint: 'Options of s3fs, separated by commas, as after -o.' })}
    </details>`;
}

/** A saved secret never comes into the form: empty means that it stays. */
function drawSecret(form, provider) {
  const { values, problems } = form;
  const isNew = form.saved === null;
  const toggle = html`
    <button type="button" class="secondary outline small" aria-pressed=${form.showsSecret ? 'true' : 'false'} aria-label="Show what is typed as ${provider.secretLabel}"
      @click=${() => { form.showsSecret = !form.showsSecret; form.redraw(); }}>${form.showsSecret ? 'Hide' : 'Show'}</button>`;
  return html`
    <div>
      ${field({
        form: FORM,
        name: 'secret_key',
        label: provider.secretLabel,
        type: form.showsSecret ? 'text' : 'password',
        value: values.secret_key,
        placeholder: isNew ? undefined : values.removesSecret ? 'will be removed' : 'unchanged',
        autocomplete: 'new-password',
        hint: isNew ? provider.secretHint : 'Empty keeps the saved one.',
        problems: problems.secret_key,
        onInput: (value) => set(form, 'secret_key', value),
        extra: toggle,
      })}
      ${isNew
        ? nothing
        : html`<label class="check"><input type="checkbox" .checked=${live(values.removesSecret)} ?disabled=${values.secret_key !== ''}
            @change=${(event) => set(form, 'removesSecret', event.target.checked)}> Remove the saved one</label>`}
    </div>`;
}
