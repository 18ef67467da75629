# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Sealed sets and FHIR: a stick brought to a server makes what its gateway would have made,
and the FHIR files in a set are what a server would have got."""

import hashlib
import json
import re
import shutil
import subprocess
import urllib.request

import fhir_rig
from fake import Penteld
from fhir_rig import BUILD, OK, SYSTEM, WAITING, Failure, Gateway, check, observations_of, procedure_of
from test_fhir_deliver import sessions_of, treat

TYPES = ("Device", "Procedure", "Observation", "Provenance")
CONFIG = 78


class Stick:
    """A directory sink of one gateway."""

    def __init__(self, rig, name, gateway="room-9", fhir=f"patient=identifier {SYSTEM}"):
        self.rig, self.name = rig, name
        self.path, self.state = rig.directory / name, rig.directory / f"state-{name}"
        self.path.mkdir()
        self.write(gateway, fhir)

    def write(self, gateway, fhir):
        more = f"fhir=yes\n[fhir]\n{fhir}\n" if fhir else ""
        (self.rig.directory / f"{self.name}.conf").write_text(
            f"[sink]\nkind=directory\nunbound=send\ngateway={gateway}\n[directory]\npath={self.path}\n{more}")

    def argv(self):
        return [str(BUILD / "client/sync/pentel-sync"), "--once", "--config",
                str(self.rig.directory / f"{self.name}.conf"), "--state-dir", str(self.state), self.name]

    def seal(self, expect=OK):
        done = subprocess.run(self.argv(), env=self.rig.env, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        if done.returncode != expect:
            raise Failure(f"{self.name}: exit {done.returncode}: {done.stderr}")
        return done.stderr

    def sets(self):
        return sorted(p for p in self.path.iterdir() if p.is_dir() and p.name != ".open")


def bring(gateway, path, expect=OK):
    """--import with the configuration of a Gateway."""
    argv = gateway.argv()
    argv.insert(1, f"--import={path}")
    done = subprocess.run(argv, env=gateway.env, capture_output=True, text=True, timeout=90,
                          stdin=subprocess.DEVNULL)
    if done.returncode != expect:
        raise Failure(f"--import: exit {done.returncode}, not {expect}: {done.stdout} {done.stderr}")
    return done.stdout + done.stderr


def gateway_of(dump, session):
    procedure = procedure_of(dump, session)
    record = [e for e in procedure["extension"] if e["url"].endswith("record")][0]
    return [e["valueString"] for e in record["extension"] if e["url"] == "gateway"][0]


def carries(rig, server, penteld):
    """Each kind of session; twice is once; the old stick undoes nothing of what came directly."""
    ids = treat(penteld)
    stick = Stick(rig, "stick")
    stick.seal()
    old = rig.directory / "old"
    shutil.copytree(stick.path, old)
    desk = Gateway(rig, server, "desk", "desk")
    server.reset()
    said = bring(desk, stick.path)
    if "1 without a patient" not in said:
        raise Failure(f"the one of nobody does not wait: {said}")
    dump = check("carried", sessions_of(penteld), server)
    if gateway_of(dump, ids[0]) != "room-9":
        raise Failure("it is under the importer's name")
    n = len(dump["writes"])
    bring(desk, stick.path)
    again = Gateway(rig, server, "again", "again")
    bring(again, old)
    writes = check("carried again", sessions_of(penteld), server)["writes"]
    if len(writes) != n:
        raise Failure(f"the same stick wrote {writes[n:]}")
    # The gateway comes itself; then somebody brings its old stick.
    direct = Gateway(rig, server, "direct", "room-9")
    penteld.annotate(ids[0], note="", operator="later")
    penteld.annotate(ids[1], patient="Q-4799")
    penteld.annotate(ids[0], zone="chin", **{"pass": 1})
    direct.once(expect=(OK, WAITING))
    before = check("direct", sessions_of(penteld), server)
    bring(Gateway(rig, server, "third", "third"), old)
    after = check("the old stick", sessions_of(penteld), server)
    if after["resources"] != before["resources"]:
        raise Failure("the old stick changed something")
    # What was taken back on the gateway is taken back by its new stick too.
    penteld.annotate(ids[0], operator="")
    stick.seal()
    bring(desk, stick.path)
    check("the new stick", sessions_of(penteld), server)
    penteld.erase(ids[0])
    stick.seal()
    bring(desk, stick.path)
    bring(Gateway(rig, server, "fourth", "fourth"), old, expect=WAITING)
    dump = server.dump()
    for resource in [procedure_of(dump, ids[0]), *observations_of(dump, ids[0])]:
        if resource["status"] != "entered-in-error" or "Q-4711" in str(resource):
            raise Failure(f"not redacted: {resource}")


def two_gateways(rig, server, penteld):
    """Two rooms heard one pen, one comes by stick: one Procedure of the more complete."""
    server.reset()
    address = rig.env["DBUS_SYSTEM_BUS_ADDRESS"]
    penteld.stop()
    id = fhir_rig.new_id()
    less, more = Penteld(address), Penteld(address)
    for room, n in ((less, 40), (more, 100)):
        room.add(id, n_records=n, passes=2)
        room.annotate(id, patient="6000")
    less.annotate(id, operator="from room 1", wall_us=more.clock_us + 3_600_000_000)
    for i, order in enumerate(((less, more), (more, less))):
        server.reset()
        for room in order:
            room.start()
            name = "less" if room is less else "more"
            if room is order[0]:
                stick = Stick(rig, f"stick-{i}", name)
                stick.seal()
                bring(Gateway(rig, server, f"desk-{i}", "desk"), stick.path)
            else:
                Gateway(rig, server, f"direct-{i}", name).once(expect=(OK, WAITING))
            room.stop()
        dump = check(f"two, {i}", [{**more.snapshot()[id], "operator": "from room 1"}], server)
        if gateway_of(dump, id) != "more":
            raise Failure(f"{i}: the less complete counts")


def lines_of(directory):
    """Resources of a set by type, and that they are what SHA256SUMS lists."""
    listed = dict(reversed(line.split("  ")) for line in (directory / "SHA256SUMS").read_text().splitlines())
    if {p.name for p in directory.iterdir()} - {"SHA256SUMS"} != set(listed):
        raise Failure(f"SHA256SUMS lists {sorted(listed)}")
    out = {}
    for type in TYPES:
        file = directory / f"{type}.ndjson"
        if not file.exists():
            continue
        if hashlib.sha256(file.read_bytes()).hexdigest() != listed[file.name]:
            raise Failure(f"{file.name} is not what SHA256SUMS says")
        out[type] = [json.loads(line) for line in file.read_text().splitlines()]
    return out


def load(server, directory):
    """As a bulk import would: every line is put under its id. How many."""
    n = 0
    for type, resources in lines_of(directory).items():
        ids = [resource["id"] for resource in resources]
        if len(ids) != len(set(ids)) or any(r["resourceType"] != type for r in resources):
            raise Failure(f"{directory.name}/{type}.ndjson has a resource twice, or another type")
        for resource in resources:
            body = json.dumps(resource).encode()
            if re.search(rb'"reference": *"[^"]*\?', body):
                raise Failure(f"a conditional reference: {resource}")
            request = urllib.request.Request(
                f"{server.base}/{type}/{resource['id']}", body, method="PUT",
                headers={"Content-Type": "application/fhir+json"})
            try:
                urllib.request.urlopen(request, timeout=20).close()
            except urllib.error.HTTPError as error:
                raise Failure(f"{type} refused: {error.read()[:500]} {resource}")
            n += 1
    return n


def ndjson(rig, server, penteld):
    """Put to a server line by line it is what pentel-sync would have delivered there."""
    penteld.start()
    ids = treat(penteld)
    penteld.annotate(ids[0], note="twice in one set")
    stick = Stick(rig, "files", fhir=f"patient=identifier {SYSTEM}\ntest_data=yes")
    stick.seal()
    server.reset()
    n = load(server, stick.sets()[0])
    dump = check("the first set", sessions_of(penteld), server)
    direct = Gateway(rig, server, "compare", "room-9")
    direct.write(test_data="yes")
    direct.once(expect=(OK, WAITING))
    if server.dump()["resources"] != dump["resources"]:
        raise Failure("pentel-sync would have delivered something else")
    # Corrections: a zone that goes, a patient taken back, an erasure.
    penteld.annotate(ids[0], zone="nose", **{"pass": 1})
    penteld.annotate(ids[0], zone="nose", **{"pass": 1})
    penteld.annotate(ids[1], patient="")
    penteld.erase(ids[2])
    stick.seal()
    load(server, stick.sets()[1])
    dump = server.dump()
    if dump["faults"]:
        raise Failure(f"faults: {dump['faults'][:3]}")
    withdrawn = [o for o in observations_of(dump, ids[0]) if o["status"] == "entered-in-error"]
    if len(withdrawn) != 1:
        raise Failure(f"the zone that went: {withdrawn}")
    for id, patient in ((ids[1], "Q-4712"), (ids[2], "Q-4713")):
        for resource in [procedure_of(dump, id), *observations_of(dump, id)]:
            if resource["status"] != "entered-in-error" or patient in str(resource):
                raise Failure(f"not withdrawn: {resource}")
    size = {type: len(resources) for type, resources in lines_of(stick.sets()[0]).items()}
    if list((stick.path / ".open").iterdir()):
        raise Failure("something is left in .open")
    return f"{n} lines valid: {size}"


def killed(rig, server, penteld):
    """What a kill leaves of sealing is made anew: every session is in the files once."""
    stick = Stick(rig, "killed")
    stick.seal()
    work = stick.path / ".open"
    for i in range(3):
        id = penteld.add()
        penteld.annotate(id, patient=f"77{i}")
    stick.seal()
    # As if it had been killed in the middle of sealing the second set.
    second = stick.sets()[1]
    wanted = lines_of(second)
    for name in ("SHA256SUMS", "anchor.json"):
        (second / name).unlink()
    lines = [f"{r['resourceType']}/{r['id']} {id} {json.dumps(r)}\n" for rs in wanted.values() for r in rs]
    # A zone of a delivery that was not remembered any more.
    stale = f"Observation/{fhir_rig.new_id()} {id} {json.dumps(wanted['Observation'][-1])}\n"
    (second / ".resources.ndjson").write_text(stale + "".join(lines) + "Procedure/half")
    (second / "Procedure.ndjson").write_text("{}\n")
    (second / "day").write_text(second.name[:10])
    work.rmdir()
    second.rename(work)
    stick.seal()
    if lines_of(stick.sets()[1]) != wanted:
        raise Failure("the files are not what they were")


def refuses(rig, server, penteld):
    """Keys that files cannot have."""
    stick = Stick(rig, "refuses")
    for fhir, word in ((f"patient=search {SYSTEM}", "server"), ("", "patient"), ("url=x", "patient"),
                       (f"patient=literal\nurl={server.base}", "url")):
        stick.write("room-9", fhir or "code_map=/nonexistent")
        said = stick.seal(expect=CONFIG)
        if word not in said or said.count("\n") != 1:
            raise Failure(f"{fhir}: {said}")


def test(rig, server):
    penteld = Penteld(rig.env["DBUS_SYSTEM_BUS_ADDRESS"]).start()
    for part in (carries, two_gateways, ndjson, killed, refuses):
        print(f"{part.__name__}: {part(rig, server, penteld) or 'ok'}", flush=True)
    penteld.stop()
    return 0


if __name__ == "__main__":
    fhir_rig.main(test, 170)
