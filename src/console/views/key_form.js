// Making an API key: its name, its end, and what it may do. The whole key is shown once, right after.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { live } from '../vendor/lit-html/directives/live.js';
import { ApiError, Unreachable, request } from '../api.js';
import { address } from '../fragment.js';
import { announce, buttonTo, capitalized, field, moment, problem, remark, sentence } from '../parts.js';
import { problemsByAttribute } from '../problems.js';
import { session } from '../session.js';
import { dayAfter, endOfDay } from './end_dates.js';
import { drawMadeKey } from './key_made.js';
import { actionTitle, isReading, scopeGroups, scopeId } from './scope_words.js';

const FORM = 'key';
const LABELS = { name: 'Name', expires_at: 'Last day', api_key_scopes: 'What it may do' };
const EMPTY = { name: '', lastDay: '', scopes: [] };
const PRESETS = [
  { title: '30 days', day: () => dayAfter(30) },
  { title: '1 year', day: () => dayAfter(365) },
  { title: 'No end', day: () => '' },
];

/** Opens the view. */
export function openKeyForm(route, redraw) {
  const form = {
    values: session.draft(FORM) ?? { ...EMPTY },
    problems: {},
    error: null,
    isSaving: false,
    /** Somebody has been told that a key without scopes may do nothing. */
    isWarned: false,
    /** The answer, with the whole key. */
    made: session.takeMadeKey(),
    isOpen: true,
    redraw,
  };
  return {
    get title() {
      return form.made === null ? 'New API key' : 'Your new API key';
    },
    resume() {
      form.error = null;
      redraw();
    },
    close() {
      form.isOpen = false;
      form.made = null;
    },
    draw: () => draw(form),
  };
}

function draw(form) {
  if (form.made !== null) return drawMadeKey(form.made);
  if (!session.can('api_keys', 'create')) {
    return html`
      <h1 tabindex="-1">New API key</h1>
      ${remark(html`<p>This key may not make keys: it lacks the scope <code>api_keys / create</code>.</p>`)}`;
  }
  return html`
    <h1 tabindex="-1">New API key</h1>
    <form class="key-form" @submit=${(event) => submit(event, form)} novalidate>
      ${field({ form: FORM, name: 'name', label: 'Name', value: form.values.name, placeholder: 'Backup of the office',
        hint: 'What the key is for, so that you know later which one to revoke.', problems: form.problems.name,
        onInput: (value) => set(form, { name: value }) })}
      ${lastDay(form)} ${scopes(form)}
      ${form.error === null ? nothing : problem(form.error)}
      ${form.error instanceof Unreachable
        ? remark(html`<p>The key may have been made all the same, and nobody has seen it: look for it in
            <a href=${address(['keys'])}>the list</a>, and revoke it there.</p>`)
        : nothing}
      ${form.isWarned
        ? html`<div class="notice" role="alert"><p><strong>No scope is chosen.</strong> The key will sign in, and may do nothing
            else; its scopes can be changed later by the API alone.</p></div>`
        : nothing}
      <div class="buttons">
        <button type="submit" aria-busy=${form.isSaving ? 'true' : nothing}>${submitTitle(form)}</button>
        ${buttonTo('Back', ['keys'], { kind: 'secondary outline' })}
      </div>
    </form>`;
}

function submitTitle({ isSaving, isWarned }) {
  if (isSaving) return 'Making it…';
  return isWarned ? 'Make it without scopes' : 'Make the key';
}

function set(form, change) {
  form.values = { ...form.values, ...change };
  session.keepDraft(FORM, form.values);
  const attributes = { name: 'name', lastDay: 'expires_at', scopes: 'api_key_scopes' };
  for (const name of Object.keys(change)) form.problems = { ...form.problems, [attributes[name]]: undefined };
  if (change.scopes !== undefined) form.isWarned = false;
  form.redraw();
}

function lastDay(form) {
  const bound = session.me.api_key?.expires_at ?? null;
  const hint = bound === null
    ? 'The key works to the end of this day, in your time zone. Empty: until it is revoked.'
    : html`The key works to the end of this day, in your time zone, and at most as long as the key that you are signed in with,
        until ${moment(bound)}. Empty: just as long.`;
  const presets = html`
    <span class="presets">
      ${PRESETS.map(({ title, day }) => html`
        <button type="button" class="secondary outline small" aria-label="Last day: ${title}"
          @click=${() => chooseDay(form, title, day())}>${title}</button>`)}
    </span>`;
  return field({ form: FORM, name: 'expires_at', label: 'Last day', type: 'date', value: form.values.lastDay, hint,
    problems: form.problems.expires_at, onInput: (value) => set(form, { lastDay: value }), extra: presets });
}

function chooseDay(form, title, day) {
  // Half a date that was typed is not part of the input's value, and would stay.
  dayInput().value = day;
  set(form, { lastDay: day });
  announce(`Last day: ${day === '' ? title : day}`);
}

function dayInput() {
  return document.getElementById(`${FORM}-expires_at`);
}

function scopes(form) {
  const allScopes = session.me.all_scopes;
  const problems = form.problems.api_key_scopes ?? [];
  const choose = (isChosen) => () => {
    const chosen = allScopes.filter((scope) => isChosen(scope) && holds(scope));
    set(form, { scopes: chosen.map(scopeId) });
    announce(`${chosen.length} scopes chosen`);
  };
  const shortcut = (title, isChosen) =>
    html`<button type="button" class="secondary outline small" aria-label="Choose scopes: ${title}"
      @click=${choose(isChosen)}>${title}</button>`;
  return html`
    <fieldset class="scopes" id="${FORM}-api_key_scopes" data-attribute="api_key_scopes" tabindex="-1"
      aria-describedby=${problems.length > 0 ? `${FORM}-api_key_scopes-problem` : nothing}>
      <legend>What it may do</legend>
      ${problems.length > 0
        ? html`<p class="field-problem" id="${FORM}-api_key_scopes-problem">${problems.map(sentence).join(' ')}</p>`
        : nothing}
      <div class="buttons">
        ${shortcut('Everything but secrets', ({ explicit }) => !explicit)} ${shortcut('Read only', isReading)}
        ${shortcut('None', () => false)}
      </div>
      <div class="scope-groups">
        ${scopeGroups(allScopes).map(({ title, scopes: known }) => html`
          <fieldset>
            <legend>${title}</legend>
            ${known.map((scope) => scopeBox(form, scope))}
          </fieldset>`)}
      </div>
      ${explicitScopes(form, allScopes.filter(({ explicit }) => explicit))}
    </fieldset>`;
}

function explicitScopes(form, explicit) {
  if (explicit.length === 0) return nothing;
  return html`
    <fieldset class="explicit-scopes">
      <legend>Secrets</legend>
      <p id="${FORM}-explicit-hint">With this scope the key is answered with the <strong>secret keys and proxy passwords</strong> of
        the connectors that it may see: whoever gets hold of it has your cloud storage too. Tools that mount or copy by themselves
        need it; listing, testing and adding connectors does not. No other scope holds it, and the events tell when a secret
        was seen.</p>
      ${explicit.map((scope) => scopeBox(form, scope, `${FORM}-explicit-hint`))}
    </fieldset>`;
}

/** Whether the caller has a scope itself: only those can be handed on. */
function holds({ controller, action }) {
  return session.can(controller, action);
}

function scopeBox(form, scope, explanation) {
  const id = scopeId(scope);
  const box = `${FORM}-scope-${scope.controller}-${scope.action}`;
  const isHeld = holds(scope);
  const describedBy = [`${box}-hint`, ...(explanation ? [explanation] : [])].join(' ');
  const change = (event) => {
    const others = form.values.scopes.filter((chosen) => chosen !== id);
    set(form, { scopes: event.target.checked ? [...others, id] : others });
  };
  return html`
    <div class="scope">
      <label for=${box}>
        <input type="checkbox" id=${box} name=${id} .checked=${live(isHeld && form.values.scopes.includes(id))}
          ?disabled=${!isHeld} aria-describedby=${describedBy} @change=${change}>
        ${capitalized(actionTitle(scope.action))}
      </label>
      <p class="hint" id="${box}-hint">
        ${isHeld ? scope.summary : 'The key that you are signed in with lacks it.'}
      </p>
    </div>`;
}

/** The body of the request. */
function bodyOf({ values }) {
  const chosen = session.me.all_scopes.filter((scope) => holds(scope) && values.scopes.includes(scopeId(scope)));
  return {
    ...(values.name === '' ? {} : { name: values.name }),
    ...(values.lastDay === '' ? {} : { expires_at: endOfDay(values.lastDay, session.me.api_key?.expires_at ?? null) }),
    api_key_scopes: chosen.map(({ controller, action }) => ({ controller, action })),
  };
}

async function submit(event, form) {
  event.preventDefault();
  if (form.isSaving) return;
  form.error = null;
  form.problems = {};
  if (dayInput().validity.badInput) {
    showProblems(form, { expires_at: ['Last day is no whole date: type day, month and year, or empty it'] });
    return;
  }
  const body = bodyOf(form);
  if (body.api_key_scopes.length === 0 && !form.isWarned) {
    form.isWarned = true;
    form.redraw();
    return;
  }
  form.isSaving = true;
  form.redraw();
  try {
    const owner = session.me;
    const answer = await request('POST', 'users/me/api_keys', { body });
    if (!form.isOpen) {
      // Whoever went elsewhere meanwhile has to see it all the same.
      if (session.me === owner) session.showMadeKey(answer.body);
      return;
    }
    form.made = answer.body;
    form.values = { ...EMPTY };
    session.keepDraft(FORM, null);
    form.redraw();
    announce('The API key is made. Copy it now: it is not shown again');
    document.querySelector('#content h1')?.focus();
  } catch (error) {
    if (!form.isOpen) return;
    showRefusal(form, error);
  }
  form.isSaving = false;
  form.redraw();
}

/** Shows what the service refused: all problems at their fields. */
function showRefusal(form, error) {
  if (error instanceof ApiError && error.status === 422) {
    const { base, ...problems } = problemsByAttribute(error, LABELS);
    form.error = base === undefined ? null : new Error(base.join('. '));
    showProblems(form, problems);
    return;
  }
  form.error = error;
}

function showProblems(form, problems) {
  form.problems = problems;
  form.redraw();
  const first = Object.keys(LABELS).find((name) => problems[name] !== undefined);
  if (first !== undefined) document.getElementById(`${FORM}-${first}`).focus();
}
