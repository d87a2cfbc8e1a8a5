// The console's start: which view the address asks for, the frame around it, and who is signed in.
//
// A view is a function `open(route, redraw)` that gives `{ title, draw }` and, where it needs them, `update(route)` (it
// shows another address itself and says so by true), `resume()` (its caller has signed in again, or the network is back) and
// `close()`. Its state is its own; `redraw` shows it, as long as the view is open.

import { html, nothing, render } from './vendor/lit-html/lit-html.js';
import { whenRefused, whenShutOut } from './api.js';
import { address, current, showAs } from './fragment.js';
import { announce } from './parts.js';
import { identity, session } from './session.js';
import { openConnector } from './views/connector.js';
import { openConnectorForm } from './views/connector_form.js';
import { openConnectors } from './views/connectors.js';
import { openConnectorTest } from './views/connector_test.js';
import { openEvents } from './views/events.js';
import { openKeyForm } from './views/key_form.js';
import { openKeys } from './views/keys.js';
import { openReference } from './views/reference.js';
import { openSignIn } from './views/sign_in.js';

const root = document.getElementById('console');
/** The open view and the address that it was opened for. */
let view = null;
/** What the sign-in says besides, after the credentials stopped working. */
let notice = null;
/** Whose view is kept while they have to sign in again: `{ identity, way, hash }`. */
let locked = null;
let signIn = null;

const NAVIGATION = [
  { path: ['connectors'], title: 'Connectors', isOpen: () => true },
  { path: ['keys'], title: 'API keys', isOpen: () => session.can('api_keys', 'index') || session.can('api_keys', 'create') },
  { path: ['events'], title: 'Events', isOpen: () => session.can('audit_events', 'index') },
  { path: ['reference'], title: 'API reference', isOpen: () => true },
];

/** The view for an address. */
function viewFor({ path }) {
  const [first, second, third] = path;
  switch (first) {
    case undefined:
      return openConnectors;
    case 'connectors':
      if (second === undefined) return openConnectors;
      if (third === undefined) return second === 'new' ? openConnectorForm : openConnector;
      if (third === 'edit') return openConnectorForm;
      return third === 'test' ? openConnectorTest : openNothing;
    case 'keys':
      if (second === undefined) return openKeys;
      return second === 'new' ? openKeyForm : openNothing;
    case 'events':
      return openEvents;
    case 'reference':
      return openReference;
    default:
      return openNothing;
  }
}

function openNothing() {
  return {
    title: 'Not here',
    draw: () => html`
      <h1 tabindex="-1">There is nothing here</h1>
      <p>The address names no view. <a href=${address(['connectors'])}>To the connectors</a></p>`,
  };
}

function redraw() {
  const signedIn = session.me !== null;
  const shown = signedIn ? view : signIn;
  document.title = shown.title ? `${shown.title} – connectord` : 'connectord';
  render(signedIn ? frame(shown) : shown.draw(), root);
}

function frame(shown) {
  const { path } = current();
  const here = path[0] ?? 'connectors';
  const { name, credential, api_key: apiKey } = session.me;
  const who = credential === 'api_key' ? `API key ${apiKey?.name ?? apiKey?.id} of ${name}` : name;
  return html`
    <a class="skip-link" href="#content" @click=${skipToContent}>To the content</a>
    <header class="container page-header">
      <nav aria-label="Views">
        <ul>
          <li class="brand"><img src="console/icon.svg" alt="" width="28" height="28"> <strong>connectord</strong></li>
          ${NAVIGATION.filter((item) => item.isOpen()).map(
            (item) => html`<li>
              <a href=${address(item.path)} aria-current=${item.path[0] === here ? 'page' : nothing}>${item.title}</a>
            </li>`,
          )}
        </ul>
      </nav>
      <div class="who">
        <span>${who}</span>
        <button type="button" class="secondary outline small" @click=${signOut}>Sign out</button>
      </div>
    </header>
    <main id="content" class="container">${shown.draw()}</main>`;
}

function skipToContent(event) {
  event.preventDefault();
  focusHeading();
}

/** A reader of the screen hears where they are. */
function focusHeading() {
  root.querySelector('h1')?.focus();
}

function openView() {
  if (session.me === null) {
    redraw();
    return;
  }
  const route = current();
  const open = viewFor(route);
  if (view !== null && view.open === open && view.update?.(route)) {
    redraw();
    return;
  }
  view?.close?.();
  let isOpen = false;
  const opened = open(route, () => {
    if (isOpen && view === opened && session.me !== null) redraw();
  });
  opened.open = open;
  view = opened;
  isOpen = true;
  redraw();
  focusHeading();
}

function showSignIn() {
  signIn = openSignIn({ notice, way: locked?.way, onSignedIn }, () => {
    if (session.me === null) redraw();
  });
  redraw();
  root.querySelector('input:not([type=radio])')?.focus();
}

function onSignedIn() {
  const isSame = locked !== null && locked.identity === identity(session.me) && locked.hash === location.hash;
  locked = null;
  notice = null;
  announce(`Signed in as ${session.me.name}`);
  if (isSame && view !== null) {
    view.resume?.();
    redraw();
    return;
  }
  view?.close?.();
  view = null;
  openView();
}

function signOut() {
  view?.close?.();
  view = null;
  locked = null;
  notice = null;
  session.signOut();
  // The next one who signs in here need not see where this one was.
  showAs([]);
  announce('Signed out');
  showSignIn();
}

whenShutOut(() => {
  if (session.me === null) return;
  const isKey = session.me.credential === 'api_key';
  locked = { identity: identity(session.me), way: isKey ? 'key' : 'password', hash: location.hash };
  notice = `${isKey ? 'The API key' : 'The password'} does not work any more. Sign in again; what you typed is kept.`;
  session.lock();
  showSignIn();
});

// Scopes may have changed since the sign-in: then the page offers other things.
whenRefused(() => session.refresh().then(redraw, () => {}));

window.addEventListener('hashchange', () => openView());
// What a view could not load while the network was away, it loads now.
window.addEventListener('online', () => session.me !== null && view?.resume?.());
// Browsers keep a page that was left, for the Back button: nobody is signed in there any more.
window.addEventListener('pagehide', () => session.me !== null && signOut());
showSignIn();
