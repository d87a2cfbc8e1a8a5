// Who is signed in, and what they may do. All of it is in memory: closing or reloading the page forgets it.

import { keyCredentials, passwordCredentials, request, useCredentials } from './api.js';
import { goTo } from './fragment.js';

/** What the service says of the caller (`GET /users/me`); `null` while nobody is signed in. */
let me = null;
/** Whose the drafts are. */
let owner = null;
/** What was typed into forms and not saved, by the form's name. */
const drafts = new Map();
/** An API key that was made for a view that was left meanwhile. */
let madeKey = null;
/** The connector whose test a button asked for. An address alone starts none: anybody may have made it. */
let wantedTest = null;

export const session = {
  /** The signed-in caller. */
  get me() {
    return me;
  },

  /** Whether the caller has a scope. */
  can(controller, action) {
    return me !== null && me.scopes.some((scope) => scope.controller === controller && scope.action === action);
  },

  /** Signs in with `{ user, password }` or `{ key }`; the error of the request where that is refused. */
  async signIn({ user, password, key }) {
    const credentials = key === undefined ? passwordCredentials(user, password) : keyCredentials(key);
    const { body } = await request('GET', 'users/me', { credentials });
    if (owner !== identity(body)) drafts.clear();
    owner = identity(body);
    useCredentials(credentials);
    me = body;
    return body;
  },

  /** Forgets the credentials; what was typed stays for whoever signs in with the same ones. */
  lock() {
    useCredentials(null);
    madeKey = null;
    wantedTest = null;
    me = null;
  },

  /** Forgets the credentials, and what was typed. */
  signOut() {
    this.lock();
    drafts.clear();
    owner = null;
  },

  /** Asks for the scopes again, which may have changed. */
  async refresh() {
    const { body } = await request('GET', 'users/me');
    if (me !== null) me = body;
  },

  /** Leads to the view that shows a key which was made while another view was open. */
  showMadeKey(made) {
    madeKey = made;
    goTo(['keys', 'new'], { made: made.id });
  },

  /** That key, this once. */
  takeMadeKey() {
    const made = madeKey;
    madeKey = null;
    return made;
  },

  /** The view that opens next is to start the test of this connector. */
  wantTest(id) {
    wantedTest = String(id);
  },

  /** Whether it is to, this once. */
  takeWantedTest(id) {
    const isWanted = wantedTest === String(id);
    wantedTest = null;
    return isWanted;
  },

  /** What was typed into a form and not saved. */
  draft(form) {
    return drafts.get(form);
  },

  /** Keeps what is typed into a form until it is saved; `null` forgets it. */
  keepDraft(form, values) {
    if (values === null) drafts.delete(form);
    else drafts.set(form, values);
  },
};

/** Tells callers apart: whoever signs in again finds their forms, somebody else does not. */
export function identity({ id, credential, api_key: apiKey }) {
  return JSON.stringify([id, credential, apiKey?.id ?? null]);
}
