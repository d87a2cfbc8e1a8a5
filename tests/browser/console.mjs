// The console in a real browser: what an owner does with it, for readers of the screen too, and with ten thousand connectors.
//
// usage: node console.mjs BINARY [--pictures DIRECTORY]     with --pictures the main views are saved there, for the README
// The tests of connectors go to OpenStack Swift (CONNECTORD_TEST_SWIFT=HOST:PORT). In each case no request may leave the
// service, and nothing may be written to the browser's console but its own remarks on answers that a case provokes.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Keyboard, Mouse } from './hands.mjs';
import { PASSWORD, Service, USER, launchBrowser, runCases } from './harness.mjs';

const CONNECTORS = '/api/v2/cloud_connectors';
const MANY = 10_000;
const PASSWORD_LABEL = 'Password';

/** A page of the console that notices what it should not do. `provoked` are the statuses that the case asks for. */
async function openConsole(world, { provoked = [], theme = 'light', fragment = '', host = '127.0.0.1' } = {}) {
  const page = await world.context.newPage();
  const noticed = [];
  page.on('console', (message) => {
    const refusal = /Failed to load resource: the server responded with a status of (\d+)/.exec(message.text());
    if (refusal && provoked.includes(Number(refusal[1]))) return;
    noticed.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => noticed.push(`error: ${error.message}`));
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== 'data:' && origin !== world.service.url('', host)) noticed.push(`request to ${request.url()}`);
  });
  await page.emulateMedia({ colorScheme: theme });
  const response = await page.goto(world.service.url(`/${fragment}`, host));
  assert.equal(response.status(), 200);
  assert.doesNotMatch(response.headers()['content-security-policy'], /unsafe|\*|https?:/);
  return {
    page,
    noticed,
    close: async () => {
      await page.close();
      assert.deepEqual(noticed, [], 'console log, errors and requests elsewhere');
    },
  };
}

async function signIn(page, hands = new Mouse(page)) {
  await hands.type('User', USER);
  await hands.type(PASSWORD_LABEL, PASSWORD);
  await hands.activate('button', 'Sign in');
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

async function signInWithKey(page, hands, key) {
  await hands.check('an API key');
  await hands.type('API key', key);
  await hands.activate('button', 'Sign in');
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

/** What an owner does on the first evening, with the hands that are given. */
async function walk(world, Hands) {
  // As in most homes: by a name of the network, without TLS.
  const { page, close } = await openConsole(world, { provoked: [401, 422], host: 'nas.lan' });
  const hands = new Hands(page);
  const name = `Walk ${hands.title}`;
  const swift = `http://${world.swift}`;

  await hands.type('User', USER);
  await hands.type(PASSWORD_LABEL, 'not the password');
  await hands.activate('button', 'Sign in');
  await page.getByText('User and password do not match').waitFor();
  await signIn(page, hands);

  // Two mistakes, told at once, each at its field; what was typed stays.
  await hands.activate('button', 'New connector');
  await hands.type('Endpoint (needed)', 'ftp://127.0.0.1');
  await hands.type('Access key', 'test:tester');
  await hands.activate('button', 'Save the connector');
  await page.getByText("Name can't be blank").waitFor();
  await page.getByText('Endpoint is invalid').waitFor();
  assert.equal(await page.locator('.field-problem').count(), 2);
  assert.equal(await focusedName(page), 'Name (needed)', 'the first mistake has the focus');
  assert.equal(await page.getByLabel('Access key', { exact: true }).inputValue(), 'test:tester');
  await hands.type('Name (needed)', name);
  await hands.type('Endpoint (needed)', swift);
  await hands.type('Secret key', 'wrong');

  // The wrong secret: a verdict with a hint, and the way to the field.
  await hands.activate('button', 'Test it first');
  await page.getByRole('heading', { name: 'The test failed' }).waitFor();
  await page.getByText('secret_key_wrong').or(page.getByText('credentials_refused')).waitFor();
  await hands.activate('button', 'To the field “Secret key”');
  assert.equal(await focusedName(page), 'Secret key');
  await hands.type('Secret key', 'testing');
  await hands.activate('button', 'Test it first');
  await page.getByRole('rowheader', { name: 'console-photos' }).waitFor();
  await hands.activate('button', 'Save the connector');
  await page.getByRole('heading', { name, level: 1 }).waitFor();
  assert.equal(await page.getByText('testing', { exact: true }).count(), 0, 'the secret is hidden');
  await hands.activate('button', `Reveal the secret of ${name}`);
  await page.getByText('testing', { exact: true }).waitFor();
  await hands.activate('button', 'Copy the secret');
  await page.getByText('Copied', { exact: true }).waitFor();

  // From the table; after a reload and a new sign-in the job is found again.
  await hands.activate('link', 'Connectors');
  await hands.activate('button', `Test ${name}`);
  await page.getByRole('rowheader', { name: 'console-photos' }).waitFor();
  const address = page.url();
  assert.match(address, /#\/connectors\/\d+\/test\/[0-9a-f-]{36}$/);
  await page.reload();
  await signIn(page, hands);
  await page.getByRole('rowheader', { name: 'console-photos' }).waitFor();
  assert.equal(page.url(), address);

  // A key that may list and show, and what it sees.
  await hands.activate('link', 'API keys');
  await hands.activate('button', 'New API key');
  const keyName = `Reader ${hands.title}`;
  await hands.type('Name', keyName);
  await hands.check('List', 'Connectors');
  await hands.check('Show', 'Connectors');
  await hands.activate('button', 'Make the key');
  const key = (await page.getByLabel('API key', { exact: true }).locator('code').textContent()).trim();
  await hands.activate('button', 'Sign out');
  await signInWithKey(page, hands, key);
  await hands.activate('link', 'Connectors');
  await hands.activate('link', name);
  await page.getByText('not for this key to see').waitFor();
  for (const [role, absent] of [['button', 'Test'], ['button', 'Edit'], ['button', 'Destroy'], ['link', 'API keys'], ['link', 'Events']]) {
    assert.equal(await page.getByRole(role, { name: absent, exact: true }).count(), 0, `${absent} is not offered`);
  }

  // Revoked elsewhere: shut out with the next request.
  const { body } = await world.service.ask('GET', '/api/v2/users/me/api_keys');
  const { id } = body.api_keys.find((other) => other.name === keyName);
  const owner = await openConsole(world, { fragment: '#/keys' });
  await signIn(owner.page);
  await owner.page.getByRole('button', { name: `Revoke ${keyName}` }).click();
  await owner.page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await owner.page.getByRole('rowheader', { name: keyName }).waitFor({ state: 'hidden' });
  await owner.close();
  assert.equal((await world.service.ask('GET', `/api/v2/users/me/api_keys/${id}`)).status, 404);
  await hands.activate('link', 'Connectors');
  await page.getByText('does not work any more').waitFor();
  await hands.type('API key', key);
  await hands.activate('button', 'Sign in');
  await page.getByText('No API key is like this').waitFor();

  // The name is asked back before anything is destroyed.
  await page.reload();
  await signIn(page, hands);
  await hands.activate('button', `Destroy ${name}`);
  const confirmation = `Type ${name} to confirm`;
  await hands.type(confirmation, 'something else');
  await hands.activate('button', 'Destroy');
  await page.getByText('That is not its name').waitFor();
  await hands.type(confirmation, name);
  await hands.activate('button', 'Destroy');
  await page.getByRole('rowheader', { name }).waitFor({ state: 'hidden' });
  await close();
}

function focusedName(page) {
  return page.evaluate(() => {
    const { activeElement } = document;
    return (activeElement.labels?.[0]?.textContent ?? activeElement.textContent).trim().replace(/\s+/g, ' ');
  });
}

/** The views that axe looks at, with what has to be done to see each. */
function views(world) {
  const ready = (text) => (page) => page.getByText(text).first().waitFor();
  const id = world.saved.id;
  return [
    ['connectors', '#/connectors', ready('NAS backup')],
    ['connectors without a match', '#/connectors?search=nothing-is-like-this', ready('No connector is like this')],
    ['new connector', '#/connectors/new', async (page) => {
      await page.getByRole('button', { name: 'Save the connector' }).click();
      await page.locator('.field-problem').first().waitFor();
    }],
    ['edit', `#/connectors/${id}/edit`, ready('Empty keeps the saved one')],
    ['connector', `#/connectors/${id}`, async (page) => {
      await page.getByRole('button', { name: /^Reveal/ }).click();
      await page.locator('.secret').waitFor();
    }],
    ['test that works', `#/connectors/${id}/test`, (page) => testNow(page, 'It works')],
    ['test that fails', `#/connectors/${world.broken.id}/test`, (page) => testNow(page, 'The test failed')],
    ['destroy', '#/connectors', async (page) => {
      await page.getByRole('button', { name: /^Destroy/ }).first().click();
      await page.getByRole('dialog').waitFor();
    }],
    ['API keys', '#/keys', ready('backup tool')],
    ['new API key', '#/keys/new', ready('What it may do')],
    ['events', '#/events', (page) => page.getByRole('table').waitFor()],
    ['API reference', '#/reference', async (page) => {
      await page.locator('details summary').first().click();
      await page.locator('pre').first().waitFor();
    }],
    ['nothing there', '#/nothing', ready('There is nothing here')],
  ];
}

/** An address alone starts no test. */
async function testNow(page, expected) {
  await page.getByRole('button', { name: 'Test now' }).click();
  await page.getByText(expected).first().waitFor();
}

async function checkAccessibility(world, theme) {
  const found = [];
  const look = async (page, title) => {
    // Colours are measured as they are once nothing moves.
    await page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
    await page.evaluate(world.axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    for (const { id, nodes } of violations) {
      found.push(`${title}: ${id}: ${nodes.map((node) => `${node.target} (${node.any[0]?.message ?? ''})`).slice(0, 3).join('; ')}`);
    }
  };
  for (const width of [1200, 390]) {
    const { page, close } = await openConsole(world, { provoked: [401, 422], theme });
    await page.setViewportSize({ width, height: 850 });
    await page.getByLabel('User', { exact: true }).waitFor();
    await look(page, `sign-in, ${width} px`);
    await signIn(page);
    for (const [title, fragment, act] of views(world)) {
      await page.evaluate((to) => { location.hash = to; }, '#/nothing/at/all');
      await page.evaluate((to) => { location.hash = to; }, fragment);
      await act(page);
      await look(page, `${title}, ${width} px`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) found.push(`${title}, ${width} px: ${overflow} px wider than the screen`);
      await picture(world, page, title, { theme, width });
      if (await page.getByRole('dialog').isVisible()) await page.keyboard.press('Escape');
    }
    await close();
  }
  assert.deepEqual(found, []);
}

/** The pictures of the README, by view; in the dark only the first. */
const PICTURES = { 'test that fails': 'verdict', connectors: 'connectors', 'test that works': 'buckets', 'new API key': 'new-api-key', connector: 'connector' };

async function picture(world, page, title, { theme, width }) {
  if (world.pictures === null || PICTURES[title] === undefined || width < 1000) return;
  if (theme === 'dark' && title !== 'test that fails') return;
  const suffix = theme === 'dark' ? '-dark' : '';
  await page.screenshot({ path: path.join(world.pictures, `${PICTURES[title]}${suffix}.png`), animations: 'disabled' });
}

/** What the page leaves behind: nothing in the browser's stores, nothing in its fields, nobody signed in after Back. */
async function checkLeaving(world) {
  const { page, close } = await openConsole(world, { fragment: `#/connectors/${world.saved.id}` });
  await signIn(page);
  await page.getByRole('button', { name: /^Reveal/ }).click();
  await page.locator('.secret').waitFor();
  const kept = await page.evaluate(async () => {
    const databases = await indexedDB.databases();
    return [document.cookie, localStorage.length, sessionStorage.length, databases.length];
  });
  assert.deepEqual(kept.filter(Boolean), [], 'nothing is kept by the browser');
  await page.goto('about:blank');
  await page.evaluate(() => history.back());
  await page.getByLabel(PASSWORD_LABEL, { exact: true }).waitFor();
  assert.equal(await page.locator('.secret').count(), 0);
  await signIn(page);
  await page.reload();
  await page.getByLabel(PASSWORD_LABEL, { exact: true }).waitFor();
  const values = await page.evaluate(() => Array.from(document.querySelectorAll('input'), (input) => input.value));
  assert.ok(!values.includes(PASSWORD), `fields after a reload: ${values}`);
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await close();
}

/** Anybody may make an address, and a test sends credentials out: it takes a press of a button. */
async function checkAddresses(world) {
  const { page, close } = await openConsole(world, { provoked: [404], fragment: `#/connectors/${world.saved.id}/test` });
  const asked = [];
  page.on('request', (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
  await signIn(page);
  await page.getByRole('button', { name: 'Test now' }).waitFor();
  for (const fragment of ['#/connectors/../test', '#/connectors/.', '#/connectors/%2e%2e%2Fusers', '#/connectors/1/test/..%2F..', '#/%00/x']) {
    await page.evaluate((to) => { location.hash = to; }, fragment);
    await page.waitForFunction(() => document.querySelector('h1') !== null && document.querySelector('[aria-busy=true]') === null);
  }
  const wrong = asked.filter((request) => !/^GET (\/api\/v2\/users\/me|\/api\/v2\/cloud_connectors\/[^/]+(\/secret_readers|\/test)?)$/.test(request));
  assert.deepEqual(wrong, []);
  await close();
}

/** Two people change one connector: what one has typed before does not undo what the other has saved. */
async function checkDrafts(world) {
  const made = (await world.service.ask('POST', CONNECTORS, { name: 'shared', url: 'http://first', access_key: 'a' })).body;
  const { page, close } = await openConsole(world, { fragment: `#/connectors/${made.id}/edit` });
  await signIn(page);
  await page.getByLabel('Access key', { exact: true }).fill('typed');
  await page.getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('heading', { name: 'API keys', level: 1 }).waitFor();
  await world.service.ask('PUT', `${CONNECTORS}/${made.id}`, { url: 'http://second' });
  await page.evaluate((to) => { location.hash = to; }, `#/connectors/${made.id}/edit`);
  await page.getByText('what you typed before').waitFor();
  await page.getByRole('button', { name: 'Save the changes' }).click();
  await page.getByRole('heading', { name: 'shared', level: 1 }).waitFor();
  const { url, access_key: accessKey } = (await world.service.ask('GET', `${CONNECTORS}/${made.id}`)).body;
  assert.deepEqual([url, accessKey], ['http://second', 'typed']);
  await world.service.ask('DELETE', `${CONNECTORS}/${made.id}`);
  await close();
}

/** The service is away, then back: said, and mended without a reload. */
async function checkOffline(world) {
  const { page, close, noticed } = await openConsole(world);
  await signIn(page);
  await page.getByRole('rowheader', { name: 'NAS backup' }).waitFor();
  await page.route('**/api/**', (route) => route.abort('connectionrefused'));
  await page.getByLabel('Search names').fill('NAS');
  await page.getByText('connectord does not answer').first().waitFor();
  await page.unroute('**/api/**');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('rowheader', { name: 'NAS backup' }).waitFor();
  // What the browser itself says of a connection that is refused is no remark of ours.
  const own = noticed.filter((text) => !text.includes('ERR_CONNECTION_REFUSED'));
  noticed.splice(0, noticed.length, ...own);
  await close();
}

/** Ten thousand connectors: how soon the table is there, and how requests follow typing. */
async function checkMany(world) {
  const service = await Service.start(world.binary);
  try {
    for (let id = 1; id <= MANY; id += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, at) =>
        service.ask('POST', CONNECTORS, { name: `connector ${String(id + at).padStart(5, '0')}`, url: 'http://127.0.0.1:9', access_key: 'a', secret_key: 's' })));
    }
    const { page, close } = await openConsole({ ...world, service });
    await page.getByLabel('User', { exact: true }).fill(USER);
    await page.getByLabel(PASSWORD_LABEL, { exact: true }).fill(PASSWORD);
    const began = performance.now();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('rowheader', { name: 'connector 00001' }).waitFor();
    console.log(`figure: the table of ${MANY} connectors stands ${Math.round(performance.now() - began)} ms after signing in`);
    await page.getByText(`of ${new Intl.NumberFormat('en-US').format(MANY)} connectors`).waitFor();

    const running = new Set();
    let most = 0;
    const asked = [];
    page.on('request', (request) => {
      if (!request.url().includes(CONNECTORS)) return;
      running.add(request);
      most = Math.max(most, running.size);
      asked.push(new URL(request.url()).searchParams.get('name'));
    });
    for (const event of ['requestfinished', 'requestfailed']) page.on(event, (request) => running.delete(request));
    // Answers take their time, so that typing is faster than they are.
    await page.route(`**${CONNECTORS}?**`, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      await route.continue();
    });
    await page.getByLabel('Search names').pressSequentially('connector 09999', { delay: 20 });
    await page.getByText('1 to 1 of 1 connectors').waitFor();
    assert.equal(most, 1, 'requests at one time');
    assert.equal(asked.at(-1), '~%connector 09999%');
    assert.ok(asked.length < 'connector 09999'.length, `${asked.length} requests for 15 letters`);
    await close();
  } finally {
    await service.stop();
  }
}

/** Containers of the account test, which the tests of connectors find. */
async function makeContainers(swift) {
  const signedIn = await fetch(`http://${swift}/auth/v1.0`, { headers: { 'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing' } });
  const [storage, token] = ['X-Storage-Url', 'X-Auth-Token'].map((name) => signedIn.headers.get(name));
  for (const [name, bytes] of [['console-photos', 5_300_000], ['console-documents', 48_000]]) {
    for (const path of [name, `${name}/first`]) {
      const made = await fetch(`${storage}/${path}`, { method: 'PUT', headers: { 'X-Auth-Token': token }, body: path === name ? undefined : Buffer.alloc(bytes) });
      assert.ok(made.ok, `${path}: ${made.status}`);
    }
  }
}

const [, , binary, option, pictures] = process.argv;
if (binary === undefined || (option !== undefined && (option !== '--pictures' || pictures === undefined))) {
  console.error('usage: node console.mjs BINARY [--pictures DIRECTORY]');
  process.exit(2);
}
if (pictures !== undefined) await mkdir(pictures, { recursive: true });
const from = process.env.CONNECTORD_TEST_NPM ?? path.dirname(fileURLToPath(import.meta.url));
const axe = await readFile(createRequire(path.join(from, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8');
const swift = process.env.CONNECTORD_TEST_SWIFT;
if (swift === undefined) {
  console.error('CONNECTORD_TEST_SWIFT=HOST:PORT says where OpenStack Swift is');
  process.exit(2);
}
await makeContainers(swift);
const service = await Service.start(path.resolve(binary));
const swiftConnector = { provider: 'openstack_swift', url: `http://${swift}`, access_key: 'test:tester' };
const saved = (await service.ask('POST', CONNECTORS, { ...swiftConnector, name: 'NAS backup', region: 'us-east-1', secret_key: 'testing' })).body;
const broken = (await service.ask('POST', CONNECTORS, { ...swiftConnector, name: 'Old laptop', secret_key: 'wrong' })).body;
await service.ask('POST', CONNECTORS, { name: 'Photos in Frankfurt', provider: 'amazon_aws_s3', region: 'eu-central-1', access_key: 'AKIAEXAMPLE', secret_key: 's' });
await service.ask('POST', '/api/v2/users/me/api_keys', { name: 'backup tool', api_key_scopes: [{ controller: 'cloud_connectors', action: 'show' }] });
const browser = await launchBrowser(['nas.lan'], { ignoreDefaultArgs: ['--disable-back-forward-cache'] });
try {
  const world = { binary: path.resolve(binary), service, swift, saved, broken, axe, pictures: pictures ?? null, context: browser.context };
  await runCases(
    [
      ['the first evening, with the mouse', (each) => walk(each, Mouse)],
      ['the first evening, with the keyboard alone', (each) => walk(each, Keyboard)],
      ['axe finds nothing on any view, light', (each) => checkAccessibility(each, 'light')],
      ['axe finds nothing on any view, dark', (each) => checkAccessibility(each, 'dark')],
      ['a page that was left keeps nothing', checkLeaving],
      ['an address does nothing by itself', checkAddresses],
      ['a draft undoes nothing', checkDrafts],
      ['a service that is away is said to be, and found again', checkOffline],
      [`${MANY} connectors`, checkMany],
    ],
    world,
  );
} finally {
  await browser.close();
  await service.stop();
}
