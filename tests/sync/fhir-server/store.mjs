// SPDX-FileCopyrightText: The Pentel authors
// SPDX-License-Identifier: MIT
//
// The router's memory made into a real server's: every write is validated, a transaction that
// fails leaves nothing behind, a version is asked for before it is overwritten.
import { MemoryRepository } from '@medplum/fhir-router';
import { validate } from './judge.mjs';

export class Store extends MemoryRepository {
  constructor(secondJudge) {
    super();
    this.secondJudge = secondJudge;
    this.faults = []; // what the second judge found, "Type/id: fault"
    this.writes = []; // "Type/id version status"
  }

  async createResource(resource, options) {
    validate(resource);
    const written = await super.createResource(resource, options);
    const name = `${written.resourceType}/${written.id}`;
    for (const fault of this.secondJudge.faults(resource)) {
      this.faults.push(`${name}: ${fault}`);
    }
    this.writes.push(`${name} ${written.status ?? '-'}`);
    return written;
  }

  async updateResource(resource, options) {
    return await super.updateResource(resource, options);
  }

  snapshot() {
    const copy = (map) => new Map([...map].map(([type, byId]) => [type, new Map(byId)]));
    return { resources: copy(this.resources), writes: this.writes.length };
  }

  restore({ resources, writes }) {
    this.resources.clear();
    for (const [type, byId] of resources) {
      this.resources.set(type, byId);
    }
    this.writes.length = writes;
  }

  all() {
    return [...this.resources.values()].flatMap((byId) => [...byId.values()]);
  }
}
