# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A FHIR server to deliver to: fhir-server/ on loopback, its packages from the npm registry,
and pentel-sync run against it. What the server holds is compared with what penteld says."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bus"), str(HERE)]
import harness  # noqa: E402
from harness import BUILD, Failure, Rig  # noqa: E402

SOURCE = HERE / "fhir-server"
PLACE = BUILD / "tests/sync/fhir-server"
SYSTEM = "urn:oid:1.2.3.4"
CODES = "https://pentel.invalid/fhir/CodeSystem/pentel"
(OK, FAILED, USAGE, WAITING, FOREIGN, STATE, CONFIG) = (0, 1, 2, 75, 76, 77, 78)


class Skip(Exception):
    """Why this cannot be tested here."""


def install():
    """The server with its packages in the build directory, once for all tests."""
    for tool in ("node", "npm", "openssl"):
        if shutil.which(tool) is None:
            raise Skip(f"there is no {tool}")
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in SOURCE.iterdir():
            shutil.copy(file, PLACE)
        stamp = PLACE / ".installed"
        wanted = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier",
             "--fetch-retry-mintimeout=2000", "--fetch-retry-maxtimeout=10000"],
            cwd=PLACE, capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            last = [line for line in done.stderr.splitlines() if line.strip()][:3]
            raise Skip(f"npm cannot install the FHIR server: {' / '.join(last)}")
        stamp.write_text(wanted)


def run(*argv, **more):
    subprocess.run([str(word) for word in argv], check=True, capture_output=True, timeout=60, **more)


def make_ca(directory, name="ca"):
    """A certification authority, and a certificate of localhost by it."""
    ca, key = directory / f"{name}.pem", directory / f"{name}.key"
    cert, server_key, request = (directory / f"{name}-server.{end}" for end in ("pem", "key", "csr"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *curve, "-keyout", key, "-out", ca, "-days", 2,
        "-subj", f"/CN={name}")
    run("openssl", "req", *curve, "-keyout", server_key, "-out", request, "-subj", "/CN=localhost")
    names = directory / f"{name}.ext"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial",
        "-out", cert, "-days", 2, "-extfile", names)
    return ca, server_key, cert


class Server:
    """The FHIR server; ends when its standard input does."""

    def __init__(self, directory, **setup):
        self.directory = directory
        file = directory / "server.json"
        file.write_text(json.dumps(setup, default=str))
        self.err = open(directory / "server.err", "ab")
        self.process = subprocess.Popen(["node", str(PLACE / "server.mjs"), str(file)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.err, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("READY "):
            raise Failure(f"the FHIR server did not start: {self.tail()}")
        self.__dict__.update(json.loads(line[6:]))

    def tail(self):
        return (self.directory / "server.err").read_text(errors="replace")[-2000:]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()
        self.err.close()

    def control_call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.control}/{path}", data, timeout=20) as answer:
            return json.load(answer)

    def reset(self, **options):
        self.control_call("reset", options)

    def plan(self, *faults):
        self.control_call("faults", list(faults))

    def seed(self, *resources):
        self.control_call("seed", list(resources))

    def dump(self):
        return self.control_call("dump")


class Gateway:
    """pentel-sync with a state and a configuration of its own, on one bus."""

    def __init__(self, rig, server, name="clinic", gateway="room-1"):
        self.rig, self.server, self.name, self.gateway = rig, server, name, gateway
        self.directory = rig.directory / f"sync-{name}-{gateway}"
        self.secrets = rig.directory / f"secrets-{name}-{gateway}"
        self.secrets.mkdir(exist_ok=True)
        self.config = rig.directory / f"{name}-{gateway}.conf"
        self.env = dict(rig.env, CREDENTIALS_DIRECTORY=str(self.secrets), G_MESSAGES_DEBUG="sync",
                        G_DEBUG="fatal-criticals")
        self.forget()
        self.write()

    def forget(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(mode=0o700)

    def write(self, **more):
        """The configuration; None takes a key out."""
        keys = {"url": self.server.base, "patient": f"identifier {SYSTEM}", "timeout_s": 5, **more}
        lines = [f"{key}={value}" for key, value in keys.items() if value is not None]
        self.config.write_text("\n".join(
            ["[sink]", "kind=fhir", f"gateway={self.gateway}", "", "[fhir]", *lines, ""]))

    def argv(self):
        return [str(BUILD / "client/sync/pentel-sync"), "--once", "--config", str(self.config),
                "--state-dir", str(self.directory), self.name]

    def once(self, expect=OK, timeout=60):
        """One run; fails unless it ends as expected. Its standard error."""
        try:
            done = subprocess.run(self.argv(), env=self.env, capture_output=True, text=True,
                                  timeout=timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"pentel-sync took over {timeout} s: {late.stderr}")
        self.said = done.stdout + done.stderr
        wanted = expect if isinstance(expect, tuple) else (expect,)
        if done.returncode not in wanted:
            raise Failure(f"pentel-sync ended with {done.returncode}, not {expect}: {self.said[-1500:]}")
        return done.stderr

    def until_done(self, timeout=30):
        """Run until nothing waits any more, as the service would."""
        end = time.monotonic() + timeout
        while True:
            self.once(expect=(OK, WAITING))
            if "0 waiting" in self.said and "delivered so far" in self.said:
                return
            if time.monotonic() > end:
                raise Failure(f"still waiting after {timeout} s: {self.said[-1500:]}")
            self.hurry()

    def waits(self):
        """[session, reason, seconds until the next try, if by itself] of what waits."""
        with contextlib.closing(sqlite3.connect(self.directory / "state.db", timeout=10)) as db:
            return [(session, reason, (next_us or 0) / 1e6 - time.time()) for session, reason, next_us in
                    db.execute("select session, reason, next_us from pending where wait < 4")]

    def hurry(self):
        """As if the back-off were over."""
        with contextlib.closing(sqlite3.connect(self.directory / "state.db", timeout=10)) as db, db:
            db.execute("update pending set next_us = 1")

    def start(self):
        return subprocess.Popen(self.argv(), env=self.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def quantity(observation, code):
    for component in observation.get("component", []):
        if component["code"]["coding"][0]["code"] == code:
            return component["valueQuantity"]["value"]
    return None


def expected_zones(session):
    """Zone to what an Observation of it must say, by another reading of the passes."""
    zones = {}
    for item in session["passes"]:
        zone = zones.setdefault(item.get("zone"), {"passes": 0, "contact": 0, "min": [], "max": [],
                                                   "punctures": 0, "weighted": 0})
        zone["passes"] += 1
        zone["contact"] += item["contact_ms"]
        if "depth_um" in item:
            zone["min"].append(item["depth_um"]["min"])
            zone["max"].append(item["depth_um"]["max"])
        zone["punctures"] += item.get("punctures_estimate", 0)
    return zones


def compare_zones(session, observations, lines):
    shown = {o.get("bodySite", {}).get("text"): o for o in observations}
    wanted = expected_zones(session)
    if len(shown) != len(observations) or set(shown) != set(wanted):
        lines.append(f"zones {sorted(map(str, shown))}, not {sorted(map(str, wanted))}")
        return
    for name, zone in wanted.items():
        values = {code: quantity(shown[name], code) for code in
                  ("passes", "contact-time", "depth-min", "depth-max", "punctures")}
        right = {"passes": zone["passes"], "contact-time": zone["contact"] / 1000,
                 "depth-min": min(zone["min"]) / 1000 if zone["min"] else None,
                 "depth-max": max(zone["max"]) / 1000 if zone["max"] else None,
                 "punctures": zone["punctures"] or None}
        values["punctures"] = values["punctures"] or None
        if values != right:
            lines.append(f"zone {name}: {values}, not {right}")


def is_of(observation, code):
    return any(coding["code"] == code for coding in observation["code"]["coding"])


def order_of(procedure):
    """As it was said: a literal reference, or the number of an order."""
    based_on = procedure.get("basedOn", [{}])[0]
    return based_on.get("reference") or based_on.get("identifier", {}).get("value")


def compare_session(session, dump, lines):
    urn = f"urn:uuid:{session['id']}"
    mine = [r for r in dump["resources"] if r["resourceType"] == "Procedure" and
            any(i.get("value") == urn for i in r["identifier"])]
    if len(mine) != 1:
        lines.append(f"{len(mine)} Procedures of {session['id']}")
        return
    procedure = mine[0]
    period = procedure.get("performedPeriod", {})
    is_over = session["state"] in ("complete", "lossy", "closed-by")
    shown = {"status": procedure["status"], "start": period.get("start"), "end": period.get("end"),
             "patient": procedure["subject"].get("identifier", {}).get("value"),
             "operator": procedure.get("performer", [{}])[0].get("actor", {}).get("display"),
             "note": procedure.get("note", [{}])[0].get("text"), "order": order_of(procedure)}
    right = {"status": "completed" if is_over else "in-progress",
             "start": session.get("started_at"), "end": session.get("ended_at"),
             "patient": session["patient"], "operator": session.get("operator"),
             "note": session.get("note"), "order": session.get("order")}
    if shown != right:
        lines.append(f"Procedure {shown}, not {right}")
    reference = f"Procedure/{procedure['id']}"
    parts = [r for r in dump["resources"] if r["resourceType"] == "Observation" and
             r["partOf"][0]["reference"] == reference and r["status"] != "entered-in-error"]
    reactions = [r for r in parts if is_of(r, "reaction")]
    said = [session["reaction"]] if session.get("reaction") else []
    if [r.get("valueString") for r in reactions] != said:
        lines.append(f"reactions {reactions}, not {said}")
    compare_zones(session, [r for r in parts if r not in reactions], lines)
    devices = {f"Device/{r['id']}": r for r in dump["resources"] if r["resourceType"] == "Device"}
    used = [devices.get(r["reference"], {}) for r in procedure.get("usedReference", [])]
    serials = [d.get("serialNumber") for d in used]
    wanted = [session["pen"]] + list(dict.fromkeys(c["id"] for c in session.get("cartridges", []) if c.get("id")))
    if serials[:len(wanted)] != wanted:
        lines.append(f"devices {serials}, not {wanted}")


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def compare(sessions, dump):
    """Lines that say how the server differs from `sessions` (dicts as the bus gives them)."""
    lines = list(dump["faults"])
    bound = [s for s in sessions if s.get("patient")]
    procedures = [r for r in dump["resources"] if r["resourceType"] == "Procedure" and
                  "erased" not in [tag["code"] for tag in r["meta"].get("tag", [])]]
    if len(procedures) != len(bound):
        lines.append(f"{len(procedures)} Procedures, not {len(bound)}")
    for session in bound:
        compare_session(session, dump, lines)
    names = {f"{r['resourceType']}/{r['id']}" for r in dump["resources"]}
    seen = {}
    for resource in dump["resources"]:
        for reference in references(resource):
            # An order is the clinic's own, on whatever server.
            if reference not in names and not reference.startswith(("CarePlan/", "ServiceRequest/")):
                lines.append(f"{resource['resourceType']} refers to {reference}, which is not there")
        for identifier in resource.get("identifier", []):
            key = (resource["resourceType"], identifier["value"])
            if key in seen:
                lines.append(f"two {key}")
            seen[key] = True
    origins = [(r["target"][0]["reference"], r["agent"][0]["who"]["identifier"]["value"],
                r["entity"][0]["what"]["identifier"]["value"])
               for r in dump["resources"] if r["resourceType"] == "Provenance"]
    if len(origins) != len(set(origins)):
        lines.append("a Provenance twice")
    return lines


def check(what, sessions, server):
    dump = server.dump()
    lines = compare(sessions, dump)
    if lines:
        raise Failure(f"{what}: " + "; ".join(lines[:6]))
    return dump


def procedure_of(dump, session):
    for resource in dump["resources"]:
        if resource["resourceType"] == "Procedure" and \
                resource["identifier"][0]["value"] == f"urn:uuid:{session}":
            return resource
    return None


def observations_of(dump, session):
    procedure = procedure_of(dump, session)
    return [r for r in dump["resources"] if r["resourceType"] == "Observation" and
            r["partOf"][0]["reference"] == f"Procedure/{procedure['id']}"]


def main(test, limit_s, **setup):
    """Run test(rig, server) with a private bus and a server, or say why not."""
    def body():
        try:
            install()
        except (Skip, subprocess.TimeoutExpired) as reason:
            print(f"skipped: {reason}")
            return harness.SKIPPED
        with Rig("fhir") as rig:
            more = setup
            if setup.get("tls"):
                ca, key, cert = make_ca(rig.directory)
                more = {"key": key, "cert": cert}
            server = Server(rig.directory, **more)
            try:
                return test(rig, server) or 0
            except Failure:
                print(f"--- server\n{server.tail()}")
                raise
            finally:
                server.stop()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    harness.main(body, limit_s)


def new_id():
    return str(uuid.uuid4())
