// The part of the address after the #: which view is shown, and what of it. It never holds a secret.

/** `#/a/b?c=d` as `{ path: ['a', 'b'], query: URLSearchParams }`. */
export function current() {
  const text = location.hash.replace(/^#\/?/, '');
  const at = text.indexOf('?');
  const path = at < 0 ? text : text.slice(0, at);
  return {
    path: path.split('/').filter((segment) => segment !== '').map(decode),
    query: new URLSearchParams(at < 0 ? '' : text.slice(at + 1)),
  };
}

/** The address of a view; parameters without a value are left out. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams(
    Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== ''),
  ).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${parameters ? `?${parameters}` : ''}`;
}

/** Goes to a view. */
export function goTo(path, query) {
  location.hash = address(path, query);
}

/** Says in the address what the view shows now, without a step in the history and without opening it anew. */
export function showAs(path, query) {
  try {
    history.replaceState(null, '', address(path, query));
  } catch {
    // Some browsers refuse it where somebody types very fast; the view is right all the same.
  }
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
