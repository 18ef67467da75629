// SPDX-FileCopyrightText: The Pentel authors
// SPDX-License-Identifier: MIT
//
// A FHIR R4 server for tests: server.mjs SETUP.json. Prints READY and its ports as JSON, ends
// when its standard input does. Two listeners on loopback: the server (TLS when SETUP has key
// and cert), and plain control for the test:
//   POST /reset   SETUP's keys again: mode, fhirVersion, transactions, auth, faults
//   POST /faults  a list, see faults.mjs
//   POST /seed    resources to hold
//   POST /revoke  tokens given so far no longer count
//   GET  /dump    {resources, faults, writes, requests, struck, issued}
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { getStatus } from '@medplum/core';
import { FhirRouter } from '@medplum/fhir-router';
import { Auth } from './auth.mjs';
import { capability } from './capability.mjs';
import { Faults, strikeAfter, strikeBefore } from './faults.mjs';
import { loadDefinitions, SecondJudge } from './judge.mjs';
import { Store } from './store.mjs';

const BODY_MAX = 8 * 1024 * 1024;
const setup = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const judge = new SecondJudge(loadDefinitions());
const router = new FhirRouter();
const state = {};

function reset(options) {
  state.options = { mode: 'put', transactions: true, fhirVersion: '4.0.1',
                    auth: { kind: 'none' }, ...options };
  state.store = new Store(judge);
  state.faults = new Faults();
  state.faults.plan(state.options.faults ?? []);
  state.auth = new Auth(state.options.auth, state.tokenUrl);
  state.requests = [];
}

async function readBody(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_MAX) {
      throw new Error('too large');
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function refusal(status, code, text) {
  return [status, {}, { resourceType: 'OperationOutcome',
                        issue: [{ severity: 'error', code, details: { text } }] }];
}

// What a server of this mode does not do.
function forbidden(request, path) {
  const { mode, transactions } = state.options;
  if (path === '' && request.method === 'POST' && !transactions) {
    return refusal(405, 'not-supported', 'no transactions here');
  }
  const [type, id] = path.split('/');
  if (mode !== 'put' && request.method === 'PUT' && !state.store.resources.get(type)?.has(id)) {
    return refusal(405, 'not-supported', 'ids are given by this server');
  }
  if (mode === 'search' && request.headers['if-none-exist']) {
    delete request.headers['if-none-exist'];
  }
  return null;
}

async function route(request, path, url, text) {
  const body = text === '' ? undefined : JSON.parse(text);
  const isTransaction = path === '' && body?.type === 'transaction';
  const before = state.store.snapshot();
  const [outcome, resource] = await router.handleRequest({
    method: request.method,
    url: `${path}${url.search}`,
    pathname: '',
    params: {},
    query: {},
    headers: request.headers,
    body,
    config: { transactions: true },
  }, state.store);
  const status = getStatus(outcome);
  if (status >= 400 && (isTransaction || request.method !== 'GET')) {
    state.store.restore(before);
  }
  const headers = {};
  if (resource?.meta?.versionId) {
    headers.ETag = `W/"${resource.meta.versionId}"`;
  }
  if (request.method === 'POST' && resource?.id) {
    headers.Location = `${state.base}/${resource.resourceType}/${resource.id}/_history/1`;
  }
  return [status, headers, status < 400 && resource ? resource : outcome, before];
}

async function handle(request, url, text) {
  const path = url.pathname.replace(/^\/fhir\/?/, '');
  if (url.pathname === '/token') {
    const [status, body] = state.auth.answer(request.headers, text);
    return [status, {}, body];
  }
  if (!url.pathname.startsWith('/fhir')) {
    return [404, {}, { error: 'nothing here' }];
  }
  if (path === 'metadata') {
    return [200, {}, capability(state.options)];
  }
  if (!state.auth.allows(request.headers.authorization)) {
    return refusal(401, 'login', 'no valid token');
  }
  return forbidden(request, path) ?? await route(request, path, url, text);
}

// Another gateway, with more records, writes every Procedure just before this request.
async function meddle() {
  for (const procedure of [...(state.store.resources.get('Procedure')?.values() ?? [])]) {
    const changed = structuredClone(procedure);
    const record = changed.extension.find(({ url }) => url.endsWith('/record')).extension;
    record.find(({ url }) => url === 'settled').valueUnsignedInt += 1000;
    record.find(({ url }) => url === 'gateway').valueString = 'room-9';
    await state.store.updateResource(changed);
  }
}

async function serve(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const name = `${request.method} ${url.pathname}`;
  const text = await readBody(request);
  state.requests.push(name + url.search);
  const fault = state.faults.next(request.method, url.pathname);
  if (fault && strikeBefore(fault, response)) {
    return;
  }
  if (fault?.kind === 'meddle') {
    await meddle();
  }
  if (fault?.kind === 'lenient') { // unknown parameters are ignored (FHIR, 3.1.1.3.1)
    url.searchParams.delete('identifier');
  }
  let [status, headers, body, before] = await handle(request, url, text);
  if (fault?.kind === 'forget' && before) {
    state.store.restore(before);
  }
  headers = { 'Content-Type': 'application/fhir+json', ...headers };
  const answer = JSON.stringify(body);
  if (fault && strikeAfter(fault, response, status, headers, answer)) {
    return;
  }
  response.writeHead(status, headers);
  response.end(answer);
}

function guarded(handler) {
  return (request, response) => handler(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) {
      response.writeHead(500);
    }
    response.end();
  });
}

async function control(request, response) {
  const text = await readBody(request);
  const body = text === '' ? {} : JSON.parse(text);
  let answer = {};
  if (request.url === '/reset') {
    reset(body);
  } else if (request.url === '/faults') {
    state.faults.plan(body);
  } else if (request.url === '/seed') {
    for (const resource of body) {
      await state.store.createResource(resource);
    }
  } else if (request.url === '/revoke') {
    state.auth.revoke();
  } else {
    answer = {
      resources: state.store.all(), faults: state.store.faults, writes: state.store.writes,
      requests: state.requests, struck: state.faults.struck, issued: state.auth.issued,
      why: state.auth.why,
    };
  }
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(answer));
}

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}

const front = setup.key
  ? https.createServer({ key: readFileSync(setup.key), cert: readFileSync(setup.cert) },
                       guarded(serve))
  : http.createServer(guarded(serve));
const port = await listen(front);
const controlPort = await listen(http.createServer(guarded(control)));
const origin = `${setup.key ? 'https' : 'http'}://localhost:${port}`;
state.base = `${origin}/fhir`;
state.tokenUrl = `${origin}/token`;
reset(setup);
console.log(`READY ${JSON.stringify({ base: state.base, token: state.tokenUrl,
                                      control: `http://127.0.0.1:${controlPort}` })}`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
