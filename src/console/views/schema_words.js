// Schemas of the OpenAPI document: their attributes, their types in words, and examples.

import { number } from '../parts.js';

const REFERENCE_START = '#/components/schemas/';
/** Attributes are told to this depth: a schema may name itself. */
const DEPTH_MAX = 4;
const TYPES = { string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false', object: 'object', array: 'list' };
const FORMATS = { 'date-time': 'moment (RFC 3339)' };

/** A schema as it is meant, where it is only a reference to one. */
export function resolve(schema, document) {
  let found = schema;
  for (let depth = 0; depth < DEPTH_MAX && found?.$ref?.startsWith(REFERENCE_START); depth += 1) {
    const { $ref, ...own } = found;
    found = { ...document.components?.schemas?.[$ref.slice(REFERENCE_START.length)], ...own };
  }
  return found ?? {};
}

/** What a value may be, with its limits, in words. */
export function typeInWords(schema, document, depth = 0) {
  const known = resolve(schema, document);
  if (known.const !== undefined) return JSON.stringify(known.const);
  if (known.enum !== undefined) return choiceInWords(known.enum);
  const types = typesOf(known);
  if (types.length === 0) {
    const variants = (known.anyOf ?? known.oneOf ?? []).map((variant) => typeInWords(variant, document, depth + 1));
    return variants.length === 0 || depth > DEPTH_MAX ? 'any value' : [...new Set(variants)].join(' or ');
  }
  return types.map((type) => oneType(type, known, document, depth)).join(' or ');
}

/** One of some values; that there may be none comes last. */
function choiceInWords(values) {
  const none = [...(values.includes('') ? ['empty'] : []), ...(values.includes(null) ? ['null'] : [])];
  const some = values.filter((value) => value !== '' && value !== null);
  return [...(some.length === 0 ? [] : [`one of ${some.join(', ')}`]), ...none].join(' or ');
}

function typesOf({ type }) {
  if (type === undefined) return [];
  return Array.isArray(type) ? type : [type];
}

function oneType(type, schema, document, depth) {
  const word = TYPES[type] ?? type;
  if (type === 'array' && depth < DEPTH_MAX) {
    const each = `each: ${typeInWords(schema.items ?? {}, document, depth + 1)}`;
    const limits = limit(schema.minItems, schema.maxItems, 'items');
    return withLimits(word, limits === null ? each : `${each}; ${limits}`);
  }
  if (type === 'string') return withLimits(FORMATS[schema.format] ?? word, limit(schema.minLength, schema.maxLength, 'characters'));
  if (type === 'integer' || type === 'number') return withLimits(word, limit(schema.minimum, schema.maximum, ''));
  return word;
}

function withLimits(word, limits) {
  return limits === null ? word : `${word} (${limits})`;
}

function limit(least, most, unit) {
  const ending = unit === '' ? '' : ` ${unit}`;
  if (least === 1 && most === undefined && unit !== '') return 'not empty';
  // A bound that this page cannot even count to is none for people.
  const hasMost = most !== undefined && Number.isSafeInteger(most);
  if (least !== undefined && hasMost) return `${number(least)} to ${number(most)}${ending}`;
  if (hasMost) return `at most ${number(most)}${ending}`;
  return least === undefined ? null : `at least ${number(least)}${ending}`;
}

/** The attributes of an object, and of those in it, as `{ name, isRequired, isReadOnly, type, description }`. */
export function attributesOf(schema, document, prefix = '', depth = 0) {
  const known = resolve(schema, document);
  const required = known.required ?? [];
  return Object.entries(known.properties ?? {}).flatMap(([name, property]) => {
    const meant = resolve(property, document);
    const attribute = {
      name: `${prefix}${name}`,
      isRequired: required.includes(name),
      isReadOnly: meant.readOnly === true,
      type: typeInWords({ ...property, ...choices(known, name) }, document),
      description: meant.description ?? '',
    };
    if (depth + 1 >= DEPTH_MAX) return [attribute];
    const isList = typesOf(meant).includes('array');
    const inner = isList ? meant.items ?? {} : objectIn(meant, document);
    return [attribute, ...attributesOf(inner, document, `${attribute.name}${isList ? '[]' : ''}.`, depth + 1)];
  });
}

/** The values of an attribute, where each variant of its object names some: what one of them allows, is allowed. */
function choices({ anyOf = [] }, name) {
  const valuesOf = (narrower) => narrower?.enum ?? (narrower?.const === undefined ? null : [narrower.const]);
  const named = anyOf.map(({ properties }) => valuesOf(properties?.[name]));
  return named.length === 0 || named.includes(null) ? {} : { enum: [...new Set(named.flat())] };
}

/** The object among the variants of a schema, which null may be one of. */
function objectIn(schema, document) {
  if (schema.properties !== undefined) return schema;
  return (schema.anyOf ?? []).map((variant) => resolve(variant, document)).find(({ properties }) => properties !== undefined) ?? {};
}

/** A value that a schema allows, for people to change; attributes that cannot be sent are left out. */
export function exampleOf(schema, document, depth = 0) {
  const known = resolve(schema, document);
  if (known.example !== undefined) return known.example;
  if (known.examples?.length > 0) return known.examples[0];
  if (known.const !== undefined) return known.const;
  if (known.enum !== undefined) return known.enum.find((value) => value !== '' && value !== null) ?? null;
  const type = typesOf(known).find((candidate) => candidate !== 'null');
  if (type === undefined) {
    const variant = (known.anyOf ?? known.oneOf ?? []).find((candidate) => candidate.type !== 'null');
    return variant === undefined ? null : exampleOf(variant, document, depth + 1);
  }
  if (depth > DEPTH_MAX) return null;
  switch (type) {
    case 'object':
      return exampleObject(known, document, depth);
    case 'array':
      return [exampleOf(known.items ?? {}, document, depth + 1)];
    case 'string':
      return known.format === 'date-time' ? `${new Date().getFullYear() + 1}-01-31T00:00:00Z` : 'text';
    case 'boolean':
      return false;
    default:
      return Math.max(1, known.minimum ?? 1);
  }
}

/** Where there are variants, the attributes are narrowed to those of the first. */
function exampleObject(schema, document, depth) {
  const narrower = schema.anyOf === undefined ? {} : resolve(schema.anyOf[0], document).properties ?? {};
  const properties = Object.entries(schema.properties ?? {}).filter(([, property]) => property.readOnly !== true);
  return Object.fromEntries(
    properties.map(([name, property]) => [name, exampleOf({ ...resolve(property, document), ...narrower[name] }, document, depth + 1)]),
  );
}
