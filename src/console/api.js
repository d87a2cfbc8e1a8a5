// Requests to the service: credentials in memory alone, errors as values that a view can show.

/** The API's base, relative to the page, so that a proxy may put the service below a path. */
const BASE = new URL('api/v2/', document.baseURI);
// Where the address holds a password, fetch refuses it.
BASE.username = '';
BASE.password = '';
/** No answer after this time is taken for none. */
const TIMEOUT_MS = 30_000;

/** The value of the Authorization header; `null` while nobody is signed in. */
let authorization = null;
let onShutOut = () => {};
let onRefused = () => {};

/** An answer that is an error: what it says, by attribute where it is about one. */
export class ApiError extends Error {
  constructor(status, body, headers) {
    const messages = Array.isArray(body?.messages) ? body.messages : [];
    super(messages.join('. ') || `The service answered with status ${status}`);
    this.status = status;
    this.messages = messages;
    /** Attribute to a list of problems. */
    this.details = body?.details ?? {};
    this.retryAfterSecs = Number(headers?.get('Retry-After')) || null;
    /** Finds the request in the service's log. */
    this.requestId = headers?.get('X-Request-Id') ?? null;
  }
}

/** No answer came. */
export class Unreachable extends Error {
  constructor() {
    super('connectord does not answer. Is it running, and is this device still on its network?');
  }
}

/** The header's value for a user and a password (RFC 7617, in UTF-8). */
export function passwordCredentials(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`;
}

/** The header's value for an API key. */
export function keyCredentials(key) {
  return `Bearer ${key}`;
}

/** Takes the credentials for all later requests; `null` forgets them. */
export function useCredentials(value) {
  authorization = value;
}

/** What to do when credentials that worked are refused. */
export function whenShutOut(act) {
  onShutOut = act;
}

/** What to do when a scope is missing. */
export function whenRefused(act) {
  onRefused = act;
}

/**
 * Sends a request and gives `{ status, body, headers }` of an answer that is no error.
 * `query` is an object or a list of pairs; values that are null or undefined are left out.
 */
export async function request(method, path, { query, body, signal, credentials } = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Array.isArray(query) ? query : Object.entries(query ?? {})) {
    if (value !== null && value !== undefined) url.searchParams.append(name, value);
  }
  const sent = credentials ?? authorization;
  const headers = { Accept: 'application/json' };
  if (sent) headers.Authorization = sent;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
  let response;
  let answer;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      // With credentials of its own the browser would remember them, and ask in a window of its own after a 401.
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.any(limits),
    });
    const text = await response.text();
    answer = text === '' ? null : JSON.parse(text);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error instanceof SyntaxError) throw new ApiError(response.status, null, response.headers);
    throw new Unreachable();
  }
  if (response.ok) return { status: response.status, body: answer, headers: response.headers };
  if (response.status === 401 && !credentials && authorization === sent) onShutOut();
  if (response.status === 403 && method === 'GET') onRefused();
  throw new ApiError(response.status, answer, response.headers);
}

/** The path of a connector, by id or name. */
export function connectorPath(selector) {
  // Segments like these would name another path; no connector is called so.
  if (selector === '.' || selector === '..') throw new ApiError(404, { messages: ['There is no such connector'] });
  return `cloud_connectors/${encodeURIComponent(selector)}`;
}
