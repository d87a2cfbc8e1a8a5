// Pieces that several views are made of.

import { html, nothing } from './vendor/lit-html/lit-html.js';
import { ifDefined } from './vendor/lit-html/directives/if-defined.js';
import { live } from './vendor/lit-html/directives/live.js';
import { ApiError, Unreachable } from './api.js';
import { goTo } from './fragment.js';

const COPIED_MS = 2_000;

/** Says something to readers of the screen; it is not seen. */
export function announce(text) {
  const element = document.getElementById('announcements');
  // The same text again would not be read again.
  element.textContent = element.textContent === text ? `${text}\u00a0` : text;
}

/** Puts a text into the clipboard. Over plain HTTP browsers have only the old way. */
export async function copy(text) {
  if (window.isSecureContext && navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  const opener = document.activeElement;
  // Within an open dialog only its own elements can be selected.
  (opener?.closest('dialog') ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  opener?.focus();
  if (!isCopied) throw new Error('The browser did not copy it: select the text, and copy it yourself.');
}

/** A button that copies what `text()` gives; `what` names it for readers of the screen. */
export function copyButton(what, text) {
  const act = async (event) => {
    const button = event.currentTarget;
    try {
      await copy(await text());
      button.textContent = 'Copied';
      announce(`${what} copied`);
    } catch (error) {
      button.textContent = 'Not copied';
      announce(error.message);
    }
    setTimeout(() => {
      button.textContent = 'Copy';
    }, COPIED_MS);
  };
  return html`<button type="button" class="secondary outline small" aria-label="Copy ${what}" @click=${act}>Copy</button>`;
}

/** A button that leads to a view; `label` says more to readers of the screen, `first` is done before. */
export function buttonTo(title, path, { label, kind = '', query, first = () => {} } = {}) {
  const act = () => {
    first();
    goTo(path, query);
  };
  return html`<button type="button" class=${kind} aria-label=${ifDefined(label)} @click=${act}>${title}</button>`;
}

/** A text to copy, as it is typed into a shell or a file. */
export function snippet(title, text, note) {
  return html`
    <figure class="snippet">
      <figcaption><strong>${title}</strong> ${copyButton(title, () => text)}</figcaption>
      ${note ? html`<p class="hint">${note}</p>` : nothing}
      <pre tabindex="0" aria-label=${title}><code>${text}</code></pre>
    </figure>`;
}

/** What went wrong with a request, in words, and what can be done. */
export function problem(error, retry) {
  const isAbsent = error instanceof Unreachable;
  const isTold = / in \d+ s\b/.test(error.message);
  const waiting = error instanceof ApiError && error.retryAfterSecs && !isTold ? ` Try again in ${error.retryAfterSecs} s.` : '';
  return html`
    <div class="notice problem" role="alert">
      <p><strong>${isAbsent ? 'No answer.' : 'That did not work.'}</strong> ${sentence(error.message)}${waiting}</p>
      ${error.status >= 500 && error.requestId ? html`<p class="hint">In the service’s log it is the request <code>${error.requestId}</code>.</p>` : nothing}
      ${retry ? html`<button type="button" class="small" @click=${retry}>Try again</button>` : nothing}
    </div>`;
}

/** A remark that is no problem. */
export function remark(content) {
  return html`<div class="notice" role="note">${content}</div>`;
}

/** While something loads. */
export function loading(what) {
  return html`<p aria-busy="true" class="loading">${what}</p>`;
}

/** A text with a capital at its beginning. */
export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A text with one point at its end. */
export function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/**
 * A labelled input with its hint and the problems that the service found in it.
 * `name` is the attribute; `problems` a list of sentences; `control` other attributes of the input.
 */
export function field({ form, name, label, hint, problems = [], value = '', type = 'text', placeholder, required = false,
  autocomplete = 'off', list, onInput, extra = nothing }) {
  const id = `${form}-${name}`;
  const describedBy = [hint ? `${id}-hint` : null, problems.length > 0 ? `${id}-problem` : null].filter(Boolean);
  return html`
    <div class="field" data-attribute=${name}>
      <label for=${id}>${label}${required ? html` <span class="required">(needed)</span>` : nothing}</label>
      <div class="control">
        <input id=${id} name=${name} type=${type} .value=${live(value)} placeholder=${ifDefined(placeholder)}
          autocomplete=${autocomplete} spellcheck="false" autocapitalize="off" list=${ifDefined(list)}
          aria-required=${required ? 'true' : nothing} aria-invalid=${problems.length > 0 ? 'true' : nothing}
          aria-describedby=${describedBy.length > 0 ? describedBy.join(' ') : nothing}
          @input=${(event) => onInput(event.target.value)}>
        ${extra}
      </div>
      ${problems.length > 0 ? html`<p class="field-problem" id="${id}-problem">${problems.map(sentence).join(' ')}</p>` : nothing}
      ${hint ? html`<p class="hint" id="${id}-hint">${hint}</p>` : nothing}
    </div>`;
}

/** Which items of a list are shown, and the way to the others. */
export function pager({ offset, limit, count, shown, what, hrefAt }) {
  if (count === 0) return nothing;
  const last = Math.max(0, Math.floor((count - 1) / limit) * limit);
  const step = (title, at, isOpen) =>
    isOpen
      ? html`<li><a href=${hrefAt(at)}>${title}</a></li>`
      : html`<li><span aria-hidden="true" class="off">${title}</span></li>`;
  return html`
    <nav class="pager" aria-label="Pages of ${what}">
      <p>${number(offset + 1)} to ${number(offset + shown)} of ${number(count)} ${what}</p>
      ${count > limit || offset > 0
        ? html`<ul>
            ${step('First', 0, offset > 0)} ${step('Previous', Math.max(0, offset - limit), offset > 0)}
            ${step('Next', offset + limit, offset + limit < count)} ${step('Last', last, offset < last)}
          </ul>`
        : nothing}
    </nav>`;
}

/** A whole number as the reader's language writes it. */
export function number(value) {
  return new Intl.NumberFormat().format(value);
}

/** Bytes in units of 1,024. */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  let size = value;
  while (size >= 1024 && unit + 1 < units.length) {
    size /= 1024;
    unit += 1;
  }
  return `${new Intl.NumberFormat(undefined, { maximumFractionDigits: unit === 0 ? 0 : 1 }).format(size)} ${units[unit]}`;
}

/** A moment (RFC 3339) in the reader's own time zone. */
export function moment(text) {
  const date = new Date(text);
  return html`<time datetime=${text} title=${text}>${date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}</time>`;
}

/**
 * A dialog that asks before something cannot be undone. `open()` shows it; `draw()` belongs into the view. Where `name` is
 * given, it has to be typed. `act` may throw: the dialog stays and says why.
 */
export function confirmation({ id, title, text, name, button, act }, redraw) {
  let typed = '';
  let error = null;
  let isBusy = false;
  const element = () => document.getElementById(id);
  const close = () => element()?.close();
  // What comes of it is shown in the dialog.
  const keepOpen = (event) => isBusy && event.preventDefault();
  const submit = async (event) => {
    event.preventDefault();
    if (isBusy) return;
    if (name !== undefined && typed !== name) {
      error = new Error('That is not its name. Nothing was done');
      redraw();
      element().querySelector('input').focus();
      return;
    }
    isBusy = true;
    error = null;
    redraw();
    try {
      await act();
      close();
    } catch (caught) {
      error = caught;
    }
    isBusy = false;
    redraw();
    if (error !== null && !element()?.open) element()?.showModal();
  };
  return {
    open() {
      typed = '';
      error = null;
      redraw();
      element()?.showModal();
    },
    draw: () => html`
      <dialog id=${id} aria-labelledby="${id}-title" @cancel=${keepOpen} @close=${redraw}>
        <article>
          <h2 id="${id}-title">${title}</h2>
          <form @submit=${submit} novalidate>
            <p>${text}</p>
            ${name === undefined
              ? nothing
              : field({ form: id, name: 'confirmation', label: html`Type <strong class="verbatim">${name}</strong> to confirm`, value: typed,
                  problems: error instanceof ApiError || error instanceof Unreachable || error === null ? [] : [error.message],
                  onInput: (value) => { typed = value; } })}
            ${error !== null && (name === undefined || error instanceof ApiError || error instanceof Unreachable) ? problem(error) : nothing}
            <div class="buttons">
              <button type="submit" class="danger" aria-busy=${isBusy ? 'true' : nothing}>${button}</button>
              <button type="button" class="secondary" ?autofocus=${name === undefined} ?disabled=${isBusy} @click=${close}>Keep it</button>
            </div>
          </form>
        </article>
      </dialog>`,
  };
}
