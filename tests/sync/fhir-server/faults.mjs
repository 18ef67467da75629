// SPDX-FileCopyrightText: The Pentel authors
// SPDX-License-Identifier: MIT
//
// What goes wrong on a network and in a server, on demand. A fault is
// {kind, method?, path?, skip?, times?, ...}: it strikes requests that match (path is a regular
// expression), after `skip` of them, `times` times (once unless told, 0 for ever).

export class Faults {
  constructor() {
    this.planned = [];
    this.struck = 0;
  }

  plan(list) {
    this.planned = list.map((fault) => ({ skip: 0, times: 1, ...fault }));
    this.struck = 0;
  }

  // The fault that strikes this request, or null.
  next(method, path) {
    for (const fault of this.planned) {
      const fits = (!fault.method || fault.method === method) &&
                   (!fault.path || new RegExp(fault.path).test(path));
      if (!fits || fault.times < 0) {
        continue;
      }
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      if (fault.times > 0) {
        fault.times = fault.times === 1 ? -1 : fault.times - 1;
      }
      this.struck += 1;
      return fault;
    }
    return null;
  }
}

function outcome(code, text) {
  return JSON.stringify({
    resourceType: 'OperationOutcome',
    issue: [{ severity: 'error', code, details: { text } }],
  });
}

const ANSWERS = {
  429: ['throttled', 'too many requests'],
  500: ['exception', 'internal error'],
  401: ['login', 'the token is not known'],
  403: ['forbidden', 'not allowed'],
  408: ['timeout', 'too slow'],
  413: ['too-costly', 'too large'],
  422: ['processing', 'refused by a rule of this clinic'],
  503: ['transient', 'being restarted'],
  507: ['no-store', 'no space left on device'],
};

// Before the request is handled. True when it was answered, or never will be.
export function strikeBefore(fault, response) {
  if (fault.kind === 'drop-before') {
    response.socket.destroy();
    return true;
  }
  if (fault.kind === 'status') {
    const [code, text] = ANSWERS[fault.status] ?? ['exception', 'fault'];
    const headers = { 'Content-Type': 'application/fhir+json' };
    if (fault.retryAfter !== undefined) {
      headers['Retry-After'] = String(fault.retryAfter);
    }
    response.writeHead(fault.status, headers);
    response.end(fault.raw ?? outcome(code, fault.text ?? text));
    return true;
  }
  if (fault.kind === 'hang') {
    return true;
  }
  return false;
}

// After it was handled. True when the answer was given, or spoilt.
export function strikeAfter(fault, response, status, headers, body) {
  if (fault.kind === 'drop-after') {
    response.socket.destroy();
    return true;
  }
  if (fault.kind === 'hang-after') {
    return true;
  }
  if (fault.kind === 'half') {
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
    response.write(body.slice(0, body.length / 2));
    setTimeout(() => response.socket?.destroy(), 20);
    return true;
  }
  if (fault.kind === 'endless') {
    response.writeHead(status, headers);
    const timer = setInterval(() => response.write(' '.repeat(fault.bytes ?? 1)), fault.every ?? 100);
    response.on('close', () => clearInterval(timer));
    return true;
  }
  if (fault.kind === 'garbage') {
    response.writeHead(status, headers);
    response.end(fault.body ?? '<html>a proxy was here</html>');
    return true;
  }
  return false;
}
