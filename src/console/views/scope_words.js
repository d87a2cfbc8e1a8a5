// Scopes of API keys in words, and what wildcards grant.

import { capitalized } from '../parts.js';

const ANY = '*';
const CONTROLLERS = { cloud_connectors: 'Connectors', api_keys: 'API keys', audit_events: 'Events' };
const ACTIONS = {
  index: 'list',
  create: 'create',
  show: 'show',
  update: 'change',
  destroy: 'destroy',
  test: 'test',
  get_secret_key: 'see secrets',
};
const READING_ACTIONS = ['index', 'show'];

/** A scope as one text. */
export function scopeId({ controller, action }) {
  return `${controller}/${action}`;
}

/** What a controller is called; one that is newer than this page by its own name. */
export function controllerTitle(controller) {
  return CONTROLLERS[controller] ?? capitalized(spaced(controller));
}

/** Where a controller stands among others: those that this page knows come first. */
export function controllerRank(controller) {
  const known = Object.keys(CONTROLLERS).indexOf(controller);
  return known < 0 ? Infinity : known;
}

/** What an action is called. */
export function actionTitle(action) {
  return ACTIONS[action] ?? spaced(action);
}

/** Whether a scope lets somebody only look. */
export function isReading({ action, explicit }) {
  return !explicit && READING_ACTIONS.includes(action);
}

/** The scopes that there are, without the explicit ones, by controller. */
export function scopeGroups(allScopes) {
  const groups = new Map();
  for (const scope of allScopes.filter(({ explicit }) => !explicit)) {
    const group = groups.get(scope.controller) ?? { controller: scope.controller, title: controllerTitle(scope.controller), scopes: [] };
    group.scopes.push(scope);
    groups.set(scope.controller, group);
  }
  return [...groups.values()];
}

/** Which of the scopes that there are some scopes grant; no wildcard grants an explicit one. */
export function grantedScopes(scopes, allScopes) {
  const matches = (pattern, name) => pattern === ANY || pattern === name;
  const isGranted = (known) =>
    scopes.some(({ controller, action }) =>
      known.explicit
        ? controller === known.controller && action === known.action
        : matches(controller, known.controller) && matches(action, known.action));
  return allScopes.filter(isGranted);
}

/** What a key may do, as `{ title, actions, isExplicit }`, by controller; explicit scopes come last, by themselves. */
export function scopesInWords(scopes, allScopes) {
  const granted = grantedScopes(scopes, allScopes);
  const everything = (controller) =>
    allScopes.some((scope) => scope.explicit && scope.controller === controller) ? 'everything but secrets' : 'everything';
  const ordinary = scopeGroups(allScopes).map(({ controller, title, scopes: known }) => {
    const held = known.filter((scope) => granted.includes(scope)).map(({ action }) => actionTitle(action));
    const isAll = held.length === known.length && held.length > 1;
    return { title, actions: isAll ? [everything(controller)] : held, isExplicit: false };
  });
  const explicit = granted
    .filter((scope) => scope.explicit)
    .map(({ controller, action }) => ({ title: controllerTitle(controller), actions: [actionTitle(action)], isExplicit: true }));
  return [...ordinary.filter(({ actions }) => actions.length > 0), ...explicit];
}

/** `some_name` as `some name`. */
export function spaced(name) {
  return name.replaceAll('_', ' ');
}

