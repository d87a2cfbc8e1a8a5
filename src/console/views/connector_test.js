// The test of a saved connector: progress, then the buckets or the verdict. The job's id stands in the address, so that it is
// found again after a reload.

import { html, nothing } from '../vendor/lit-html/lit-html.js';
import { ApiError, connectorPath, request } from '../api.js';
import { address, goTo, showAs } from '../fragment.js';
import { drawJob, followJob, toField } from '../jobs.js';
import { loading, problem, remark } from '../parts.js';
import { session } from '../session.js';
import { drawProbing, probedNames } from './probing.js';

/**
 * Opens `connectors/ID/test`, which starts a test where a button led here, or `connectors/ID/test/JOB`, which finds one. An
 * address alone starts none: any page may lead to it, and a test sends credentials out.
 */
export function openConnectorTest(route, redraw) {
  const [, selector, , jobId] = route.path;
  let connector = null;
  let error = null;
  let refusal = null;
  let probed = '';
  const job = followJob(redraw);
  const isWanted = session.takeWantedTest(selector);

  const start = async () => {
    refusal = null;
    const names = probedNames(probed);
    try {
      await job.start({ id: connector.id, ...(names.length > 0 ? { probe_buckets: names } : {}) }, (id) =>
        showAs(['connectors', connector.id, 'test', id]));
    } catch (caught) {
      refusal = caught;
      redraw();
    }
  };
  const load = async () => {
    error = null;
    try {
      ({ body: connector } = await request('GET', connectorPath(selector), { query: { reveal: 'false' } }));
      redraw();
      if (job.state === null && isWanted) start();
    } catch (caught) {
      error = caught;
      redraw();
    }
  };
  // Before anything is waited for: a test that is to be found is not started.
  if (session.can('cloud_connectors', 'test')) {
    if (jobId !== undefined) job.find(jobId);
    load();
  }

  return {
    get title() {
      return connector === null ? 'Test' : `Test of ${connector.name}`;
    },
    close: () => job.stop(),
    resume() {
      if (job.state?.jobId) job.find(job.state.jobId);
      if (connector === null) load();
    },
    draw: () => html`
      <div class="title-row">
        <h1 tabindex="-1">Test of ${connector?.name ?? '…'}</h1>
        ${connector === null ? nothing : html`<a href=${address(['connectors', connector.id])}>To the connector</a>`}
      </div>
      ${drawBody()}`,
  };

  function drawBody() {
    if (!session.can('cloud_connectors', 'test')) {
      return remark(html`<p>This key may not test: it lacks the scope <code>cloud_connectors / test</code>.</p>`);
    }
    if (error !== null) return problem(error, load);
    if (connector === null) return loading('Loading the connector…');
    const refusedNames = refusal instanceof ApiError && refusal.details.probe_buckets !== undefined;
    return html`
      ${drawJob(job, {
        provider: connector.provider,
        fieldButton: (attribute) =>
          session.can('cloud_connectors', 'update')
            ? toField(attribute, connector.provider, () => goTo(['connectors', connector.id, 'edit'], { field: attribute }))
            : nothing,
        again: start,
      })}
      ${refusal === null || refusedNames ? nothing : problem(refusal)}
      <div class="buttons">
        <button type="button" class="outline" @click=${start}>${job.state === null ? 'Test now' : 'Test again'}</button>
      </div>
      ${drawProbing('test', probed, refusedNames ? refusal.messages : undefined, (value) => { probed = value; })}`;
  }
}
