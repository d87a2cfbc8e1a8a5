// The names of buckets to try one by one, for a key that may use them but not list them.

import { html, noChange } from '../vendor/lit-html/lit-html.js';
import { field } from '../parts.js';

/** Draws the folded field. */
export function drawProbing(form, value, problems, onInput) {
  return html`
    <details class="probing" open=${value !== '' || problems !== undefined ? '' : noChange}>
      <summary>The key may use buckets, but not list them?</summary>
      ${field({ form, name: 'probe_buckets', label: 'Buckets to try', value, problems, placeholder: 'photos, music',
        hint: 'Names, separated by commas. Only the test uses them; they are not saved.', onInput })}
    </details>`;
}

/** The names in what was typed. */
export function probedNames(text) {
  return text.split(',').map((name) => name.trim()).filter((name) => name !== '');
}
