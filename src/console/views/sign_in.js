// Signing in, with a password or an API key. What is typed stays in the page's memory.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { ApiError } from '../api.js';
import { field, problem } from '../parts.js';
import { session } from '../session.js';

/** Opens the view; `onSignedIn` is called once the service knows the caller. */
export function openSignIn({ notice, way: firstWay = 'password', onSignedIn }, redraw) {
  let way = firstWay;
  let values = { user: 'admin', password: '', key: '' };
  let error = null;
  let isBusy = false;
  /** Problems by field: what is missing. */
  let missing = {};

  const choose = (event) => {
    way = event.target.value;
    error = null;
    missing = {};
    redraw();
  };
  const set = (name) => (value) => {
    values[name] = value;
  };

  const submit = async (event) => {
    event.preventDefault();
    if (isBusy) return;
    const needed = way === 'password' ? ['user', 'password'] : ['key'];
    missing = Object.fromEntries(needed.filter((name) => values[name].trim() === '').map((name) => [name, ['Type it in']]));
    error = null;
    if (Object.keys(missing).length > 0) {
      redraw();
      document.getElementById(`sign-in-${needed.find((name) => missing[name])}`).focus();
      return;
    }
    isBusy = true;
    redraw();
    try {
      const { user, password, key } = values;
      await session.signIn(way === 'password' ? { user, password } : { key: key.trim() });
      values = { user: '', password: '', key: '' };
      onSignedIn();
      return;
    } catch (caught) {
      error = caught;
    }
    isBusy = false;
    redraw();
    document.getElementById(way === 'password' ? 'sign-in-password' : 'sign-in-key').select();
  };

  const explained = () => {
    if (error instanceof ApiError && error.status === 401) {
      return new Error(way === 'password'
        ? 'User and password do not match. The first password was shown at the first start; connectord user passwd sets a new one'
        : 'No API key is like this, or it was revoked, or its time is over. Copy it whole: it begins with cd1_');
    }
    return error;
  };

  return {
    title: 'Sign in',
    draw: () => html`
      <main class="container sign-in">
        <h1 tabindex="-1"><img src="console/icon.svg" alt="" width="40" height="40"> connectord</h1>
        ${notice ? html`<div class="notice" role="alert">${notice}</div>` : nothing}
        <form @submit=${submit} novalidate>
          <fieldset class="choice">
            <legend>Sign in with</legend>
            ${[['password', 'user and password'], ['key', 'an API key']].map(
              ([value, title]) => html`<label>
                <input type="radio" name="way" value=${value} .checked=${way === value} @change=${choose}> ${title}
              </label>`,
            )}
          </fieldset>
          ${way === 'password'
            ? html`
                ${field({ form: 'sign-in', name: 'user', label: 'User', value: values.user, autocomplete: 'username',
                  problems: missing.user, onInput: set('user') })}
                ${field({ form: 'sign-in', name: 'password', label: 'Password', type: 'password', value: values.password,
                  autocomplete: 'current-password', problems: missing.password, onInput: set('password') })}`
            : field({ form: 'sign-in', name: 'key', label: 'API key', type: 'password', value: values.key,
                hint: 'The page then shows only what the key may do.', problems: missing.key, onInput: set('key') })}
          ${error === null ? nothing : problem(explained())}
          <button type="submit" aria-busy=${isBusy ? 'true' : nothing}>${isBusy ? 'Signing in…' : 'Sign in'}</button>
          <p class="hint">Nothing is kept in the browser: closing or reloading this page signs you out.</p>
        </form>
      </main>`,
  };
}
