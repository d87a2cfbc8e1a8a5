// Tests of connectors: start one, follow it to its end, and show how far it is or what it found.

import { html, nothing } from './vendor/lit-html/lit-html.js';
import { ApiError, request } from './api.js';
import { announce, bytes, capitalized, number, problem, remark, sentence } from './parts.js';
import { inFormWords, labelOf } from './providers.js';

const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 1_500;
/** Rows that are drawn at once: a service may have twenty thousand buckets. */
const ROWS_AT_ONCE = 200;

/**
 * A test that is followed. `state` says what to draw: `null` before the first test, else `{ phase, … }` with the phase
 * `starting`, `running` (job), `failed` (failure), `completed` (buckets, notes) or `lost` (error).
 */
export function followJob(redraw) {
  let state = null;
  let abort = null;
  let rows = ROWS_AT_ONCE;
  const set = (next) => {
    state = next;
    redraw();
  };

  const follow = async (jobId, signal) => {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.4, LAST_PAUSE_MS)) {
      const { status, body } = await request('GET', 'cloud_connectors/-/test', { query: { job_id: jobId }, signal });
      if (status === 200) {
        const buckets = body.cloud_buckets;
        set({ phase: 'completed', jobId, buckets, notes: body.notes ?? [] });
        announce(`The test works: ${number(buckets.length)} buckets`);
        return;
      }
      if (body.status === 'failed') {
        set({ phase: 'failed', jobId, failure: body.error });
        announce(`The test failed. ${body.error.message}`);
        return;
      }
      set({ phase: 'running', jobId, job: body });
      await pause(pauseMs, signal);
    }
  };

  const guarded = async (act) => {
    abort?.abort();
    const controller = new AbortController();
    abort = controller;
    rows = ROWS_AT_ONCE;
    try {
      await act(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) set({ phase: 'lost', jobId: state?.jobId ?? null, error });
    }
  };

  return {
    get state() {
      return state;
    },

    /** Starts a test of what `body` says; `onStarted` gets the job's id. Problems of the body are thrown. */
    async start(body, onStarted) {
      const before = state;
      let refusal = null;
      await guarded(async (signal) => {
        set({ phase: 'starting', jobId: null });
        announce('The test starts');
        let answer;
        try {
          answer = await request('PUT', 'cloud_connectors/-/test', { body, signal });
        } catch (error) {
          if (!(error instanceof ApiError) || error.status !== 422) throw error;
          refusal = error;
          set(before);
          return;
        }
        onStarted(answer.body.job_id);
        set({ phase: 'running', jobId: answer.body.job_id, job: answer.body });
        await follow(answer.body.job_id, signal);
        focusVerdict();
      });
      if (refusal !== null) throw refusal;
    },

    /** Follows a test that runs, or has ended. */
    find(jobId) {
      return guarded(async (signal) => {
        set({ phase: 'running', jobId, job: null });
        await follow(jobId, signal);
      });
    },

    /** Stops asking; the test itself goes on. */
    stop() {
      abort?.abort();
    },

    showMoreRows() {
      rows += ROWS_AT_ONCE * 5;
      redraw();
    },

    get rows() {
      return rows;
    },
  };
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

/**
 * Draws a followed test of a connector of this provider. `fieldButton(attribute)` gives the way to a field of the connector, or
 * nothing; `again` starts the test anew where that is possible.
 */
export function drawJob(follower, { provider, fieldButton = () => nothing, again = null, isOutdated = false }) {
  const { state } = follower;
  if (state === null) return nothing;
  const words = (text) => sentence(inFormWords(provider, text));
  return html`
    <section class="job" aria-label="Test">
      ${isOutdated ? remark(html`<p>This was the test of other values than the form has now.</p>`) : nothing}
      ${drawPhase(follower, state, { words, fieldButton, again })}
    </section>`;
}

function drawPhase(follower, state, { words, fieldButton, again }) {
  switch (state.phase) {
    case 'starting':
      return html`<p>Starting the test…</p><progress aria-label="Test"></progress>`;
    case 'running':
      return drawRunning(state.job);
    case 'failed':
      return drawFailure(state.failure, words, fieldButton);
    case 'completed':
      return drawBuckets(follower, state, words, fieldButton);
    default:
      return state.error instanceof ApiError && state.error.status === 404
        ? html`<div class="notice" role="note"><p>This test is not kept any more: results go after a day.</p>
            ${again ? html`<button type="button" class="small" @click=${again}>Test now</button>` : nothing}</div>`
        : problem(state.error, state.jobId === null ? again : () => follower.find(state.jobId));
  }
}

function drawRunning(job) {
  if (job === null) return html`<p>Asking how far the test is…</p><progress aria-label="Test"></progress>`;
  if (job.status === 'queued') return html`<p>The test waits for its turn…</p><progress aria-label="Test"></progress>`;
  const isKnown = job.total > 1;
  return html`
    <p>Asking the service${isKnown ? html`: ${number(job.progress)} of ${number(job.total)} steps` : ''}…</p>
    <progress aria-label="Test" max=${isKnown ? job.total : nothing} value=${isKnown ? job.progress : nothing}></progress>`;
}

const STAGES = {
  configuration: 'before anything was sent: the settings do not fit together',
  resolve: 'while its host name was looked up',
  connect: 'while connecting',
  proxy: 'at the proxy',
  tls: 'while the connection was secured (TLS)',
  http: 'while the answer was read',
  authentication: 'when the credentials were looked at',
  authorization: 'when the rights of these credentials were looked at',
  answer: 'when the answer was read',
};

function drawFailure(failure, words, fieldButton) {
  const notes = failure.notes ?? [];
  // Programs that know only `message` get hint and notes in it too; here each has a place of its own.
  const what = withoutEnds(failure.message, [...notes.map((note) => note.message).reverse(), failure.hint]);
  return html`
    <div class="verdict failed">
      <h2 tabindex="-1">The test failed</h2>
      <p><strong>${words(what)}</strong></p>
      ${failure.hint ? html`<p class="verdict-hint">${words(capitalized(failure.hint))} ${fieldButton(failure.attribute)}</p>` : nothing}
      <p class="hint">It came to an end ${STAGES[failure.stage] ?? `at ${failure.stage}`}. Code: <code>${failure.code}</code></p>
      ${drawNotes(notes, words, fieldButton)}
    </div>`;
}

/** The message without the hint and the notes at its end, which have places of their own. */
function withoutEnds(message, ends) {
  return ends.filter(Boolean).reduce((text, end) => (text.endsWith(end) ? text.slice(0, -end.length).trimEnd() : text), message);
}

function drawNotes(notes, words, fieldButton) {
  if (notes.length === 0) return nothing;
  return html`
    <h3>To be known besides</h3>
    <ul>${notes.map((note) => html`<li>${words(note.message)} ${fieldButton(note.attribute)}</li>`)}</ul>`;
}

function drawBuckets(follower, { buckets, notes }, words, fieldButton) {
  const shown = buckets.slice(0, follower.rows);
  const has = (attribute) => buckets.some((bucket) => bucket[attribute] !== null);
  const columns = [
    { title: 'Bucket', isHeading: true, draw: (bucket) => bucket.name },
    ...(has('location') ? [{ title: 'Location', draw: (bucket) => bucket.location ?? '' }] : []),
    ...(has('file_count') ? [{ title: 'Objects', isNumber: true, draw: (bucket) => (bucket.file_count === null ? '' : number(bucket.file_count)) }] : []),
    ...(has('file_size_sum')
      ? [{ title: 'Size', isNumber: true, draw: (bucket) => (bucket.file_size_sum === null ? '' : html`<span title="${number(bucket.file_size_sum)} bytes">${bytes(bucket.file_size_sum)}</span>`) }]
      : []),
  ];
  return html`
    <div class="verdict completed">
      <h2 tabindex="-1">It works: ${number(buckets.length)} ${buckets.length === 1 ? 'bucket' : 'buckets'}</h2>
      ${drawNotes(notes, words, fieldButton)}
      ${buckets.length === 0
        ? html`<p>The service answers, and the credentials are right. There is no bucket that they may see.</p>`
        : html`
            <div class="table-frame" tabindex="0" role="region" aria-label="Buckets">
              <table class="striped">
                <caption class="visually-hidden">Buckets</caption>
                <thead><tr>${columns.map(({ title, isNumber }) => html`<th scope="col" class=${isNumber ? 'number' : nothing}>${title}</th>`)}</tr></thead>
                <tbody>
                  ${shown.map((bucket) => html`<tr>${columns.map(({ draw, isHeading, isNumber }) =>
                    isHeading ? html`<th scope="row" class="verbatim">${draw(bucket)}</th>` : html`<td class=${isNumber ? 'number' : nothing}>${draw(bucket)}</td>`)}</tr>`)}
                </tbody>
              </table>
            </div>
            ${shown.length < buckets.length
              ? html`<button type="button" class="secondary small" @click=${() => follower.showMoreRows()}>
                  Show more (${number(buckets.length - shown.length)} left)</button>`
              : nothing}`}
    </div>`;
}

/** Leads to the end of a test whoever does nothing else by now. */
function focusVerdict() {
  if (document.activeElement === document.body) document.querySelector('.verdict h2')?.focus();
}

/** A button that leads to the field that a hint is about. */
export function toField(attribute, provider, act) {
  if (!attribute) return nothing;
  return html`<button type="button" class="small outline" @click=${() => act(attribute)}>To the field “${labelOf(provider, attribute)}”</button>`;
}
