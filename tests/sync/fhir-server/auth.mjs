// SPDX-FileCopyrightText: The Pentel authors
// SPDX-License-Identifier: MIT
//
// An authorization server: tokens for a client secret or for an assertion signed with the
// client's key, and the check of a token.
import { createPublicKey, randomUUID, verify } from 'node:crypto';

export class Auth {
  // {kind: none | bearer | secret | jwt, token, clientId, secret, publicKey, life}
  constructor(setup, tokenUrl) {
    this.setup = setup;
    this.tokenUrl = tokenUrl;
    this.tokens = new Map(); // token to when it ends, ms
    this.seen = new Set();   // jti
    this.issued = 0;
  }

  revoke() {
    this.tokens.clear();
  }

  allows(header) {
    if (this.setup.kind === 'none') {
      return true;
    }
    const token = /^Bearer (.+)$/.exec(header ?? '')?.[1];
    if (this.setup.kind === 'bearer') {
      return token === this.setup.token;
    }
    return (this.tokens.get(token) ?? 0) > Date.now();
  }

  // An assertion that holds; throws the reason otherwise.
  checkAssertion(assertion) {
    const [header, payload, signature] = assertion.split('.');
    const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url'));
    const claims = JSON.parse(Buffer.from(payload, 'base64url'));
    const key = createPublicKey(this.setup.publicKey);
    const expected = key.asymmetricKeyType === 'ec' ? 'ES384' : 'RS384';
    const options = expected === 'ES384' ? { key, dsaEncoding: 'ieee-p1363' } : key;
    const now = Date.now() / 1000;
    if (alg !== expected || kid !== this.setup.kid) {
      throw new Error(`alg ${alg}, kid ${kid}`);
    }
    if (!verify('sha384', Buffer.from(`${header}.${payload}`), options,
                Buffer.from(signature, 'base64url'))) {
      throw new Error('signature');
    }
    if (claims.iss !== this.setup.clientId || claims.sub !== this.setup.clientId ||
        claims.aud !== this.tokenUrl || this.seen.has(claims.jti) ||
        !(claims.exp > now && claims.exp <= now + 300)) {
      throw new Error('claims');
    }
    this.seen.add(claims.jti);
  }

  checkClient(headers, form) {
    if (this.setup.kind === 'secret') {
      const pair = Buffer.from((headers.authorization ?? '').replace(/^Basic /, ''), 'base64')
        .toString().split(':').map(decodeURIComponent);
      return pair[0] === this.setup.clientId && pair[1] === this.setup.secret;
    }
    if (form.get('client_assertion_type') !==
        'urn:ietf:params:oauth:client-assertion-type:jwt-bearer') {
      return false;
    }
    try {
      this.checkAssertion(form.get('client_assertion') ?? '');
      return true;
    } catch (error) {
      this.why = error.message;
      return false;
    }
  }

  // [status, body] of the token endpoint.
  answer(headers, body) {
    const form = new URLSearchParams(body);
    if (form.get('grant_type') !== 'client_credentials' || !this.checkClient(headers, form)) {
      return [401, { error: 'invalid_client' }];
    }
    const token = randomUUID();
    const life = this.setup.life ?? 300;
    this.tokens.set(token, Date.now() + life * 1000);
    this.issued += 1;
    return [200, { access_token: token, token_type: 'bearer', expires_in: life,
                   scope: form.get('scope') ?? '' }];
  }
}
