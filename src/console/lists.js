// Lists of the API as views show them: what is wanted, what came, what went wrong.

import { html } from './vendor/lit-html/lit-html.js';
import { request } from './api.js';
import { announce, number, remark } from './parts.js';

/**
 * Follows the list at `path`. What is `wanted` comes from the address (`parse`), is asked for by `queryFor`, and is written
 * back by `showAs` when somebody narrows it. One request runs at a time, and then the latest that was asked for: typing never
 * lags behind by more than one request. `what` names the items.
 */
export function followList({ path, what, mayAsk, parse, queryFor, showAs }, route, redraw) {
  let isBusy = false;
  let isClosed = false;
  let next = null;
  let hasLostRow = false;
  const list = {
    wanted: parse(route.query),
    /** The answer, and for what it was asked; `null` before the first. */
    shown: null,
    error: null,
    get isBusy() {
      return isBusy;
    },

    /** Asks for what is wanted. */
    load() {
      if (!mayAsk()) return;
      if (isBusy) next = list.wanted;
      else run(list.wanted);
      redraw();
    },

    /** Asks for less, or for something else, from its beginning. */
    narrow(change) {
      list.wanted = { ...list.wanted, ...change, offset: 0 };
      showAs(list.wanted);
      list.load();
    },

    /** Shows what another address asks for. */
    update(newRoute) {
      list.wanted = parse(newRoute.query);
      list.load();
      return true;
    },

    /** Loads after a row was removed; the focus was in it. */
    loadWithoutRow() {
      hasLostRow = true;
      list.load();
    },

    /** Nothing more is asked, and nothing said of what is on its way. */
    close() {
      isClosed = true;
    },
  };

  const run = async (first) => {
    isBusy = true;
    for (let asked = first; asked !== null && !isClosed; ) {
      await ask(asked);
      asked = next;
      next = null;
      isBusy = asked !== null;
      if (isClosed) return;
      redraw();
      if (hasLostRow && document.activeElement === document.body) document.querySelector('#content h1')?.focus();
      hasLostRow = false;
    }
  };
  const ask = async (asked) => {
    try {
      const { body } = await request('GET', path, { query: queryFor(asked) });
      if (isClosed) return;
      list.shown = { ...body, asked };
      list.error = null;
      announce(`${number(body.count)} ${what}`);
    } catch (error) {
      list.error = error;
    }
  };
  return list;
}

/** The offset in an address. */
export function offsetOf(query) {
  return Math.max(0, Number.parseInt(query.get('offset') ?? '0', 10) || 0);
}

/** The pattern (API contract, filters) of what contains a text; its signs are taken as they stand. */
export function containing(text) {
  const trimmed = text.trim();
  return trimmed === '' ? null : `~%${trimmed.replace(/[%_\\]/g, '\\$&')}%`;
}

/** Said where the page of a list is behind its end. */
export function behindTheEnd(beginning) {
  return remark(html`<p>The list has become shorter. <a href=${beginning}>To its beginning</a></p>`);
}
