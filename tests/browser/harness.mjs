// What tests in a real browser share: the program, servers of other sites' pages, and Debian's chromium.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const USER = 'admin';
export const PASSWORD = 'browser: a password with spaces';

const READY_MS = 60_000;
const STOP_MS = 20_000;

/** A new directory, removed by the returned function. */
export async function temporaryDirectory() {
  const directory = await mkdtemp(path.join(tmpdir(), 'connectord-browser-'));
  return { directory, remove: () => rm(directory, { recursive: true, force: true, maxRetries: 5 }) };
}

/** The program, with an empty data directory: its port, its log, and requests as a program sends them. */
export class Service {
  static async start(binary, settings = {}) {
    const service = new Service();
    service.home = await temporaryDirectory();
    const passwordFile = path.join(service.home.directory, 'password');
    await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('CONNECTORD_'));
    const dataDirectory = path.join(service.home.directory, 'data');
    service.process = spawn(
      binary,
      ['serve', '--listen', '127.0.0.1:0', '--data-dir', dataDirectory, '--admin-password-file', passwordFile],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...Object.fromEntries(inherited), ...settings } },
    );
    service.printed = [];
    service.ended = new Promise((resolve) => {
      service.process.once('exit', resolve);
      service.process.once('error', resolve);
    });
    createInterface({ input: service.process.stderr }).on('line', (line) => service.printed.push(line));
    const ready = new Promise((resolve) => {
      createInterface({ input: service.process.stdout }).on('line', (line) => {
        service.printed.push(line);
        const found = /listening on http:\/\/127\.0\.0\.1:(\d+)\s*$/.exec(line);
        if (found) resolve(Number(found[1]));
      });
      service.ended.then(() => resolve(0));
      setTimeout(() => resolve(0), READY_MS).unref();
    });
    service.port = await ready;
    if (!service.port) {
      await service.stop();
      throw new Error(`connectord did not get ready:\n${service.printed.slice(-12).join('\n')}`);
    }
    return service;
  }

  /** An address of the service, by default under the loopback address. */
  url(target, host = '127.0.0.1') {
    return `http://${host}:${this.port}${target}`;
  }

  /** A request that no browser sends, with the password: status and parsed body. */
  async ask(method, target, body) {
    const response = await fetch(this.url(target), {
      method,
      headers: { Authorization: authorization(), ...(body ? { 'Content-Type': 'application/json' } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  }

  async stop() {
    this.process.kill('SIGTERM');
    const late = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    await this.ended;
    clearTimeout(late);
    await this.home.remove();
  }
}

/** The header that signs in with the password. */
export function authorization() {
  return `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
}

/** A site of somebody: pages by path, which a case may set, on a port of its own. */
export class Site {
  static async start() {
    const site = new Site();
    site.pages = new Map();
    site.server = createServer((request, response) => {
      const page = site.pages.get(request.url);
      response.writeHead(page === undefined ? 404 : 200, { 'Content-Type': 'text/html; charset=utf-8' });
      response.end(page ?? '');
    });
    await new Promise((resolve) => site.server.listen(0, '127.0.0.1', resolve));
    site.port = site.server.address().port;
    return site;
  }

  origin(host) {
    return `http://${host}:${this.port}`;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** A port that leads to another one, which may change: what a name does whose owner rebinds it. */
export class Detour {
  static async start(target) {
    const detour = new Detour();
    detour.target = target;
    detour.sockets = new Set();
    detour.server = createTcpServer((socket) => {
      const onward = connect(detour.target, '127.0.0.1');
      for (const [one, other] of [[socket, onward], [onward, socket]]) {
        detour.sockets.add(one);
        one.pipe(other);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          detour.sockets.delete(one);
          other.destroy();
        });
      }
    });
    await new Promise((resolve) => detour.server.listen(0, '127.0.0.1', resolve));
    detour.port = detour.server.address().port;
    return detour;
  }

  /** From now on the port leads elsewhere; what is open is closed. */
  leadTo(target) {
    this.target = target;
    this.sockets.forEach((socket) => socket.destroy());
  }

  async stop() {
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/**
 * Debian's chromium with a new profile, so that nothing is remembered. The names in `hosts` lead to this machine, all
 * others nowhere. playwright-core is looked for in the folder that CONNECTORD_TEST_NPM names, else as usual.
 */
export async function launchBrowser(hosts, options = {}) {
  const from = process.env.CONNECTORD_TEST_NPM ?? path.dirname(fileURLToPath(import.meta.url));
  const { chromium } = createRequire(path.join(from, 'package.json'))('playwright-core');
  const profile = await temporaryDirectory();
  const rules = [...hosts.map((host) => `MAP ${host} 127.0.0.1`), 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1'];
  const context = await chromium.launchPersistentContext(profile.directory, {
    executablePath: process.env.CONNECTORD_TEST_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    ...options,
    chromiumSandbox: false,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=${rules.join(', ')}`,
    ],
  });
  context.setDefaultTimeout(20_000);
  return {
    context,
    close: async () => {
      await context.close();
      await profile.remove();
    },
  };
}

/** Runs cases one after the other, prints a line for each and the closing line; the exit status tells of failures. */
export async function runCases(cases, world) {
  let passed = 0;
  let failed = 0;
  for (const [title, run] of cases) {
    try {
      await run(world);
      passed += 1;
      console.log(`ok      ${title}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${title}\n${error.stack ?? error}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
