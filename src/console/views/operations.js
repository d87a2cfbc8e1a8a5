// The operations of the OpenAPI document, as the reference shows them.

import { controllerRank } from './scope_words.js';
import { attributesOf, exampleOf, resolve, typeInWords } from './schema_words.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const JSON_TYPE = 'application/json';
const SCOPE = /^API key scope: (\w+) \/ (\w+)$/m;
const BASE_PATH = /^\/api\/v2\//;
/** The group of what is about the service itself. */
const SERVICE = 'service';
const LAST_RANK = 1_000;

/** Every operation, in the document's order. */
export function operationsOf(document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method] !== undefined).map((method) => operationOf(document, path, method, methods[method])));
}

function operationOf(document, path, method, described) {
  const parameters = (described.parameters ?? []).map((parameter) => ({
    name: parameter.name,
    place: parameter.in,
    isRequired: parameter.required === true,
    type: typeInWords(parameter.schema ?? {}, document),
    description: parameter.description ?? '',
  }));
  const schema = described.requestBody?.content?.[JSON_TYPE]?.schema;
  const [, controller, action] = SCOPE.exec(described.description ?? '') ?? [];
  return {
    id: described.operationId ?? `${method} ${path}`,
    method: method.toUpperCase(),
    path,
    group: described.tags?.[0] ?? groupOf(path),
    summary: described.summary ?? '',
    /** What is said besides, without the line on the scope. */
    description: (described.description ?? '').replace(SCOPE, '').trim(),
    scope: controller === undefined ? null : { controller, action },
    isPublic: described.security?.length === 0,
    parameters,
    body: schema === undefined
      ? null
      : {
          description: resolve(schema, document).description ?? '',
          attributes: attributesOf(schema, document).filter(({ isReadOnly }) => !isReadOnly),
          example: exampleOf(schema, document),
        },
    answers: Object.entries(described.responses ?? {}).map(([status, answer]) => answerOf(document, status, answer)),
  };
}

/** Answers that are no errors are told with their attributes; all errors have the one shape. */
function answerOf(document, status, { description = '', content }) {
  const schema = content?.[JSON_TYPE]?.schema;
  const isError = !status.startsWith('2');
  return { status, description, isError, attributes: schema === undefined || isError ? [] : attributesOf(schema, document) };
}

/** What a path is about: its first part after the base, the users' own things by what they are. */
function groupOf(path) {
  if (!BASE_PATH.test(path)) return SERVICE;
  const [first, ...others] = path.replace(BASE_PATH, '').split('/');
  if (first === 'users') return others[1] ?? first;
  return first.includes('.') ? SERVICE : first;
}

/** Operations by group: `[{ group, operations }]`, in the order that people look for them. */
export function byGroup(operations) {
  const groups = new Map();
  for (const operation of operations) {
    groups.set(operation.group, [...(groups.get(operation.group) ?? []), operation]);
  }
  const rank = ({ group }) => Math.min(controllerRank(group), group === SERVICE ? LAST_RANK : LAST_RANK - 1);
  return [...groups].map(([group, members]) => ({ group, operations: members })).sort((one, other) => rank(one) - rank(other));
}

/** Those that hold every word of a text. */
export function matching(operations, text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return operations.filter(({ id, method, path, summary, scope }) => {
    const needed = scope === null ? [] : [`${scope.controller} / ${scope.action}`, `${scope.controller}/${scope.action}`];
    const searched = [id, method, path, summary, ...needed].join(' ').toLowerCase();
    return words.every((word) => searched.includes(word));
  });
}
