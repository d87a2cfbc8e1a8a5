// What a page of another site can do with a browser that remembers the password: nothing.
//
// usage: node attacks.mjs BINARY
// The browser is a real one, and signed in. Pages of other sites (another name, another port of this machine) post
// forms, fetch, and put the API into scripts, pictures and frames; a rebound name leads to the service; names of the
// local network and configured origins work. What was changed is then read past the browser.

import assert from 'node:assert/strict';
import path from 'node:path';

import { Detour, PASSWORD, Service, Site, USER, authorization, launchBrowser, runCases } from './harness.mjs';

const CONNECTORS = '/api/v2/cloud_connectors';
const SECRET = 'never-seen-by-a-page';
const SAVED = { name: 'saved', url: 'http://127.0.0.1:9', access_key: 'a', secret_key: SECRET };

/** The pages that attack: of another name (another site), and of another port (the same site, another origin). */
const attackers = (world) => [world.site.origin('evil.test'), world.site.origin('127.0.0.1')];

/** Opens a page with this body on each attacker's origin in turn, and hands it over. */
async function onEachAttacker(world, body, act) {
  world.site.pages.set('/attack', `<!doctype html><title>attack</title>${body}`);
  for (const origin of attackers(world)) {
    const page = await world.context.newPage();
    try {
      await page.goto(`${origin}/attack`);
      await act(page, origin);
    } finally {
      await page.close();
    }
    await assertUntouched(world, origin);
  }
}

async function assertUntouched(world, who) {
  const { body } = await world.service.ask('GET', CONNECTORS);
  assert.deepEqual(body.cloud_connectors, [world.saved], `what is saved, after the page of ${who}`);
  assert.equal((await world.service.ask('GET', '/api/v2/users/me/api_keys')).body.count, 0, `keys, after ${who}`);
}

/** Runs fetch in the page: what it may know of the answer. */
function fetchIn(page, url, options = {}) {
  return page.evaluate(
    async ([url, options]) => {
      try {
        const response = await fetch(url, options);
        return { type: response.type, status: response.status, text: await response.text() };
      } catch (error) {
        return { error: error.name };
      }
    },
    [url, options],
  );
}

async function checkRemembered({ context, service }) {
  const page = await context.newPage();
  // What a person types: afterwards the browser sends the password by itself, to this origin.
  await page.goto(`http://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${service.port}${CONNECTORS}`);
  const response = await page.goto(service.url(CONNECTORS));
  assert.equal(response.status(), 200);
  assert.match(await response.text(), new RegExp(SECRET));
  await page.close();
}

async function checkPages({ context, service }) {
  const page = await context.newPage();
  const headers = (await page.goto(service.url(CONNECTORS))).headers();
  assert.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(headers['x-frame-options'], 'DENY');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
  assert.equal(headers['access-control-allow-origin'], undefined);
  await page.close();
}

async function checkForms(world) {
  // A text/plain form sends NAME=VALUE: cut like this it is a JSON object.
  const fields = '<input name=\'{"name": "forged", "url": "h", "x": "\' value=\'"}\'><input type="submit">';
  for (const encoding of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
    for (const target of [CONNECTORS, '/api/v2/users/me/api_keys', `${CONNECTORS}/1`]) {
      const action = world.service.url(target);
      const form = `<form method="post" action="${action}" enctype="${encoding}">${fields}</form>`;
      await onEachAttacker(world, form, async (page, origin) => {
        const answered = page.waitForResponse((response) => response.request().method() === 'POST');
        await page.click('input[type=submit]');
        const status = (await answered).status();
        // The address of one connector takes no POST at all; which of the two is said first does not matter.
        const expected = target.endsWith('/1') ? [403, 405] : [403];
        assert.ok(expected.includes(status), `${encoding} from ${origin} to ${target}: ${status}`);
      });
    }
  }
}

async function checkBlindFetches(world) {
  const url = world.service.url(CONNECTORS);
  const body = JSON.stringify({ name: 'forged', url: 'h' });
  await onEachAttacker(world, '', async (page, origin) => {
    const blind = { mode: 'no-cors', credentials: 'include' };
    for (const headers of [{ 'Content-Type': 'text/plain' }, { 'Content-Type': 'application/json' }]) {
      const seen = world.service.printed.length;
      const outcome = await fetchIn(page, url, { ...blind, method: 'POST', headers, body });
      assert.deepEqual(outcome, { error: 'TypeError' }, `a blind POST from ${origin}`);
      await logged(world, seen, /method=POST .* status=403 /);
    }
    const seen = world.service.printed.length;
    await page.evaluate(([url, body]) => navigator.sendBeacon(url, new Blob([body])), [url, body]);
    await logged(world, seen, /method=POST .* status=403 /);
    // The password travels along, from another site as the browser's version has it, from another port always: the
    // request is refused before anybody looks at it, and leaves nothing in the name of who sits there.
    const asked = world.service.printed.length;
    assert.deepEqual(await fetchIn(page, url, blind), { error: 'TypeError' }, `a blind GET from ${origin}`);
    await logged(world, asked, /method=GET .* status=403 .*caller=""/);
  });
}

async function checkLinks(world) {
  for (const [target, expected] of [[`${CONNECTORS}/1`, 403], [CONNECTORS, 403], ['/healthz', 200]]) {
    await onEachAttacker(world, `<a href="${world.service.url(target)}">look</a>`, async (page, origin) => {
      const answered = page.waitForResponse((response) => response.url() === world.service.url(target));
      await page.click('a');
      assert.equal((await answered).status(), expected, `a link from ${origin} to ${target}`);
    });
  }
}

async function checkOpenFetches(world) {
  const url = world.service.url(CONNECTORS);
  const body = JSON.stringify({ name: 'forged', url: 'h' });
  const json = { 'Content-Type': 'application/json' };
  const signed = { Authorization: authorization() };
  await onEachAttacker(world, '', async (page, origin) => {
    for (const [target, options] of [
      [url, {}],
      [url, { headers: signed }],
      [world.service.url('/api/v2/openapi.json'), {}],
      [url, { method: 'POST', headers: json, body }],
      [url, { method: 'POST', headers: { ...json, ...signed }, body }],
      [url, { method: 'POST', body }],
      [`${url}/1`, { method: 'PUT', headers: json, body }],
      [`${url}/1`, { method: 'DELETE' }],
      [`${url}/1`, { method: 'DELETE', headers: signed }],
    ]) {
      for (const credentials of ['include', 'omit']) {
        const outcome = await fetchIn(page, target, { ...options, credentials });
        assert.deepEqual(outcome, { error: 'TypeError' }, `${options.method ?? 'GET'} ${target} from ${origin}`);
      }
    }
  });
}

async function checkEmbedding(world) {
  const url = world.service.url(CONNECTORS);
  const tags = `
    <script src="${url}"></script><img src="${url}"><link rel="stylesheet" href="${url}"><video src="${url}"></video>`;
  await onEachAttacker(world, '', async (page, origin) => {
    // Some of them the browser would also refuse as the wrong type: what counts is the service's own header.
    const refused = [];
    page.on('requestfailed', (request) => refused.push(request.failure().errorText));
    await page.setContent(tags, { waitUntil: 'networkidle' });
    assert.ok(refused.length >= 4, `embedded in ${origin}: ${refused}`);
    assert.deepEqual([...new Set(refused)], ['net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin'], `embedded in ${origin}`);
  });
}

async function checkFrames(world) {
  for (const target of ['/', CONNECTORS, '/healthz', '/nowhere', '/api/v2/openapi.json']) {
    const url = world.service.url(target);
    for (const frame of [`<iframe src="${url}"></iframe>`, `<object data="${url}"></object>`, `<embed src="${url}">`]) {
      await onEachAttacker(world, frame, async (page, origin) => {
        await page.waitForLoadState('networkidle');
        for (const child of page.frames().slice(1)) {
          const said = `${frame} in ${origin} shows ${child.url()}`;
          assert.ok(['chrome-error://chromewebdata/', 'about:blank', ''].includes(child.url()), said);
          assert.doesNotMatch(await child.content(), /cloud_connectors|not_found|"ok"|openapi/, said);
        }
      });
    }
  }
}

/** Opens a page of the site under this name and port, and then lets both lead to the service. */
async function openUnder(world, host, act) {
  const detour = await Detour.start(world.site.port);
  const page = await world.context.newPage();
  try {
    world.site.pages.set('/elsewhere', '<!doctype html><title>elsewhere</title>');
    await page.goto(`http://${host}:${detour.port}/elsewhere`);
    detour.leadTo(world.service.port);
    await act(page);
  } finally {
    await page.close();
    await detour.stop();
  }
}

async function checkRebinding(world) {
  const visit = await world.context.newPage();
  const response = await visit.goto(world.service.url(CONNECTORS, 'evil.test'));
  assert.equal(response.status(), 421);
  assert.match(await response.text(), /evil\.test.*browser\.allowed_hosts/);
  await visit.close();
  // The same origin for the browser: it lets the page read every answer and sends whatever the page wants.
  const headers = { Authorization: authorization(), 'Content-Type': 'application/json' };
  const body = JSON.stringify({ name: 'forged', url: 'h' });
  const attempts = [
    [CONNECTORS, {}],
    [CONNECTORS, { headers }],
    ['/api/v2/openapi.json', {}],
    ['/healthz', {}],
    ['/', {}],
    ['/console/icon.svg', {}],
    [CONNECTORS, { method: 'POST', headers, body }],
    [`${CONNECTORS}/1`, { method: 'PUT', headers, body }],
    [`${CONNECTORS}/1`, { method: 'DELETE', headers }],
  ];
  await openUnder(world, 'evil.test', async (page) => {
    for (const [target, options] of attempts) {
      const outcome = await fetchIn(page, target, options);
      assert.equal(outcome.status, 421, `${options.method ?? 'GET'} ${target}: ${JSON.stringify(outcome)}`);
      assert.doesNotMatch(outcome.text, new RegExp(SECRET));
    }
  });
  await assertUntouched(world, 'evil.test');
}

async function checkOwnNames(world) {
  const visit = await world.context.newPage();
  assert.equal((await visit.goto(world.service.url('/healthz', 'nas.lan'))).status(), 200);
  await visit.close();
  await openUnder(world, 'nas.lan', (page) => checkReadsAndWrites(page, '', 'nas.lan'));
}

async function checkAllowedOrigin(world) {
  world.site.pages.set('/panel', '<!doctype html><title>panel</title>');
  const page = await world.context.newPage();
  await page.goto(`${world.site.origin('panel.test')}/panel`);
  await checkReadsAndWrites(page, world.service.url(''), 'panel.test');
  await page.close();
}

/** A page that may: it reads, creates, changes and removes. */
async function checkReadsAndWrites(page, base, host) {
  const headers = { Authorization: authorization(), 'Content-Type': 'application/json' };
  const send = (method, target, body) =>
    fetchIn(page, base + target, { method, headers, body: body && JSON.stringify(body) });
  const listed = await send('GET', CONNECTORS);
  assert.equal(listed.status, 200, `${host}: ${JSON.stringify(listed)}`);
  assert.match(listed.text, new RegExp(SECRET));
  const created = await send('POST', CONNECTORS, { name: `by ${host}`, url: 'h' });
  assert.equal(created.status, 201, `${host}: ${JSON.stringify(created)}`);
  const own = `${CONNECTORS}/${JSON.parse(created.text).id}`;
  assert.equal((await send('PUT', own, { region: 'eu' })).status, 200);
  assert.equal((await send('DELETE', own)).status, 204);
}

/** Waits until the service has logged such a request: a page hears nothing of a beacon. */
async function logged({ service }, from, pattern) {
  for (let waited = 0; waited < 100; waited += 1) {
    if (service.printed.slice(from).some((line) => pattern.test(line))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`no request like ${pattern}:\n${service.printed.slice(from).join('\n')}`);
}

if (process.argv.length !== 3) {
  console.error('usage: node attacks.mjs BINARY');
  process.exit(2);
}
const site = await Site.start();
const settings = { CONNECTORD_BROWSER_ALLOWED_ORIGINS: site.origin('panel.test') };
const service = await Service.start(path.resolve(process.argv[2]), settings);
const saved = (await service.ask('POST', CONNECTORS, SAVED)).body;
const browser = await launchBrowser(['evil.test', 'panel.test', 'nas.lan']);
try {
  const world = { site, service, saved, context: browser.context };
  await runCases(
    [
      ['a browser that was signed in remembers the password', checkRemembered],
      ['every page forbids frames, scripts and guesses at its type', checkPages],
      ['forms of other sites change nothing', checkForms],
      ['requests that a page cannot see the answer of change nothing, and bring it nothing', checkBlindFetches],
      ['links of other sites lead to pages, not into the API', checkLinks],
      ['requests whose answer a page wants to read are refused', checkOpenFetches],
      ['scripts, pictures and style sheets get nothing', checkEmbedding],
      ['frames stay empty', checkFrames],
      ['a rebound name reads and changes nothing', checkRebinding],
      ['a name of the local network works', checkOwnNames],
      ['an allowed origin reads and writes', checkAllowedOrigin],
    ],
    world,
  );
} finally {
  await browser.close();
  await service.stop();
  await site.stop();
}
