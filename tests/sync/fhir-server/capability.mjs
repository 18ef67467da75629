// SPDX-FileCopyrightText: The Pentel authors
// SPDX-License-Identifier: MIT
//
// /metadata of servers of three kinds: put (takes our ids), conditional (gives its own, knows
// If-None-Exist), search (gives its own and knows no condition).

const SEARCH = {
  Procedure: ['identifier'],
  Device: ['identifier'],
  Observation: ['identifier', 'part-of'],
  Provenance: ['target'],
  Patient: ['identifier'],
};

export function capability({ mode, transactions, fhirVersion }) {
  const codes = ['read', 'create', 'update', 'search-type'];
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-01-01',
    kind: 'instance',
    fhirVersion,
    format: ['application/fhir+json'],
    rest: [{
      mode: 'server',
      interaction: transactions ? [{ code: 'transaction' }, { code: 'batch' }] : [{ code: 'batch' }],
      resource: Object.entries(SEARCH).map(([type, names]) => ({
        type,
        interaction: codes.map((code) => ({ code })),
        versioning: 'versioned-update',
        updateCreate: mode === 'put',
        conditionalCreate: mode === 'conditional',
        searchParam: names.map((name) => ({ name, type: name === 'identifier' ? 'token' : 'reference' })),
      })),
    }],
  };
}
