// Events of the audit trail in plain sentences.

import { capitalized } from '../parts.js';
import { spaced } from './scope_words.js';

/** Every kind: how a list of kinds names it, and the sentence about a subject (`null` where it is not known). */
const KINDS = {
  login_refused: {
    title: 'Sign-in refused',
    sentence: (subject) => (subject === null ? 'Sign-in refused' : `Sign-in as ${subject} refused`),
  },
  api_key_created: { title: 'API key made', sentence: (subject) => `${subject ?? 'API key'} made` },
  api_key_updated: { title: 'API key changed', sentence: (subject) => `${subject ?? 'API key'} changed` },
  api_key_revoked: { title: 'API key revoked', sentence: (subject) => `${subject ?? 'API key'} revoked` },
  connector_created: { title: 'Connector added', sentence: (subject) => `${subject ?? 'Connector'} added` },
  connector_updated: { title: 'Connector changed', sentence: (subject) => `${subject ?? 'Connector'} changed` },
  connector_destroyed: { title: 'Connector destroyed', sentence: (subject) => `${subject ?? 'Connector'} destroyed` },
  secret_revealed: { title: 'Secret shown', sentence: (subject) => `Secret of ${subject ?? 'a connector'} shown` },
};
const SUBJECTS = { cloud_connector: 'connector', api_key: 'API key', user: 'user' };
const ATTRIBUTES = { url: 'endpoint', url_proxy: 'proxy', api_key_scopes: 'scopes', expires_at: 'end' };

/** The kinds that there are, as `[name, title]`. */
export const EVENT_KINDS = Object.entries(KINDS).map(([name, { title }]) => [name, title]);

/** What happened, as a sentence without its point; of a kind that is newer than this page, its name. */
export function eventSentence(event) {
  const kind = KINDS[event.kind];
  const subject = subjectOf(event);
  if (kind !== undefined) return capitalized(kind.sentence(subject));
  return subject === null ? capitalized(spaced(event.kind)) : `${capitalized(spaced(event.kind))}: ${subject}`;
}

/** What an event happened to, by its name of then; an unnamed one by its number. */
function subjectOf({ kind, subject_kind: subjectKind, subject_id: id, subject_name: name }) {
  if (subjectKind === null) return null;
  const what = SUBJECTS[subjectKind] ?? spaced(subjectKind);
  if (name === null) return `${what} ${id}`;
  // In these sentences it is clear what the name is of.
  const isClear = kind === 'secret_revealed' || (kind === 'login_refused' && subjectKind === 'user');
  return isClear ? name : `${what} ${name}`;
}

/** By whom. */
export function callerInWords({ caller, user_name: user, api_key_name: key }) {
  if (caller === null) return 'not signed in';
  if (caller === 'command_line') return 'the command line of this machine';
  const [kind, id] = caller.split(':');
  if (kind === 'key') return `API key ${key ?? id}${user === null ? '' : ` of ${user}`}`;
  return user ?? spaced(caller.replace(':', ' '));
}

/** The attributes that were set or changed, in words; `null` where there are none. */
export function attributesInWords({ attributes }) {
  return attributes.length === 0 ? null : attributes.map((name) => ATTRIBUTES[name] ?? spaced(name)).join(', ');
}
