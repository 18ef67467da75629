# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What arrives on a FHIR server is what penteld has, once, on servers of every kind; a later
word changes the same resources; two gateways make one Procedure; erasure redacts."""

import fhir_rig
from fake import Penteld
from fhir_rig import OK, WAITING, Failure, Gateway, check, is_of, observations_of, \
    procedure_of


def treat(penteld):
    """Sessions of all kinds: zones, none, live, lossy, no time, a cartridge without an id."""
    ids = [penteld.add(passes=3)]
    penteld.annotate(ids[0], patient="Q-4711", operator="N. N.", note="calm skin",
                     reaction="erythema, mild", order="CarePlan/plan-7")
    penteld.annotate(ids[0], zone="forehead", **{"pass": 1})
    penteld.annotate(ids[0], zone="left cheek", **{"pass": 3})
    ids.append(penteld.add(pen="PT-0002", passes=2, state="live", n_records=50))
    penteld.annotate(ids[1], patient="Q-4712 \u00e4")
    ids.append(penteld.add(passes=1, state="lossy", missing=[(5, 9, "hole")]))
    penteld.annotate(ids[2], patient="Q-4713", note="line\none \"quoted\" \\ back")
    ids.append(penteld.add(passes=0, started_at="", ended_at=""))
    penteld.annotate(ids[3], patient="Q-4714", order="A 17/3")
    ids.append(penteld.add(passes=1, cartridges=[{"lot": "L-9"}]))
    penteld.annotate(ids[4], patient="Q-4715")
    penteld.add()  # of nobody: waits
    return ids


def sessions_of(penteld):
    sessions = list(penteld.snapshot().values())
    for session in sessions:
        for key in [k for k, v in session.items() if v == ""]:
            del session[key]
    return sessions


def test_mode(rig, server, penteld, gateway, mode, transactions):
    server.reset(mode=mode, transactions=transactions)
    gateway.forget()
    gateway.write()
    gateway.once(expect=(OK, WAITING))
    if "1 without a patient" not in gateway.said:
        raise Failure(f"{mode}: {gateway.said}")
    check(f"mode {mode}, transactions {transactions}", sessions_of(penteld), server)
    n_writes = len(server.dump()["writes"])
    gateway.forget()
    gateway.once(expect=(OK, WAITING))
    dump = check(f"mode {mode} again", sessions_of(penteld), server)
    if len(dump["writes"]) != n_writes:
        raise Failure(f"{mode}: the second delivery wrote {dump['writes'][n_writes:]}")
    if mode == "put" and procedure_of(dump, penteld.first)["id"] != penteld.first:
        raise Failure("the Procedure does not have the session's id")


def test_corrections(server, penteld, gateway, mode):
    """Late words, zones that change, and an end: the same resources, none left over."""
    server.reset(mode=mode)
    gateway.forget()
    id = penteld.add(passes=2, state="open", n_records=60)
    penteld.annotate(id, patient="Q-5000")
    gateway.once(expect=(OK, WAITING))
    first = procedure_of(check(f"{mode} open", sessions_of(penteld), server), id)
    penteld.annotate(id, zone="neck", **{"pass": 1})
    penteld.annotate(id, zone="neck", **{"pass": 2})
    penteld.annotate(id, operator="A", note="one")
    gateway.once(expect=(OK, WAITING))
    dump = check(f"{mode} zoned", sessions_of(penteld), server)
    withdrawn = [o for o in observations_of(dump, id) if o["status"] == "entered-in-error"]
    if len(withdrawn) != 1 or "component" in withdrawn[0]:
        raise Failure(f"{mode}: the Observation without a zone: {withdrawn}")
    penteld.annotate(id, zone="chin", **{"pass": 2})
    penteld.annotate(id, reaction="swelling", order="A-18")
    gateway.once(expect=(OK, WAITING))
    swollen = [o for o in observations_of(check(f"{mode} reaction", sessions_of(penteld), server), id)
               if is_of(o, "reaction")]
    penteld.annotate(id, reaction="swelling, mild", order="ServiceRequest/18")
    gateway.once(expect=(OK, WAITING))
    check(f"{mode} reaction corrected", sessions_of(penteld), server)
    penteld.annotate(id, reaction="", order="")
    gateway.once(expect=(OK, WAITING))
    dump = check(f"{mode} no reaction", sessions_of(penteld), server)
    gone = [o for o in observations_of(dump, id) if is_of(o, "reaction")]
    if [o["id"] for o in gone] != [o["id"] for o in swollen] or gone[0]["status"] != "entered-in-error" or \
            "valueString" in gone[0] or "effectiveDateTime" not in swollen[0]:
        raise Failure(f"{mode}: reaction {swollen} became {gone}")
    penteld.annotate(id, note="", operator="B", patient="Q-5001")
    penteld.add(id, passes=2, n_records=120)
    penteld.annotate(id, zone="neck", **{"pass": 1})
    penteld.annotate(id, zone="chin", **{"pass": 2})
    gateway.once(expect=(OK, WAITING))
    last = procedure_of(check(f"{mode} over", sessions_of(penteld), server), id)
    if last["id"] != first["id"] or last["status"] != "completed":
        raise Failure(f"{mode}: {first['id']} became {last['id']} {last['status']}")
    return id


def test_erasure(server, penteld, gateway, id, mode):
    other = Gateway(gateway.rig, server, gateway="room-2")
    dump = server.dump()
    was = len(observations_of(dump, id))
    patient = penteld.snapshot()[id]["patient"]
    penteld_copy = penteld.sessions[id]
    penteld.erase(id)
    gateway.once(expect=(OK, WAITING))
    dump = server.dump()
    procedure = procedure_of(dump, id)
    for resource in [procedure, *observations_of(dump, id)]:
        tags = [tag["code"] for tag in resource["meta"]["tag"]]
        if resource["status"] != "entered-in-error" or "erased" not in tags or patient in str(resource):
            raise Failure(f"{mode}: not redacted: {resource}")
    if len(observations_of(dump, id)) != was or dump["faults"]:
        raise Failure(f"{mode}: erasure: {dump['faults']}")
    # Another gateway that still has it must not bring it back.
    penteld.sessions[id] = penteld_copy
    penteld.annotate(id, operator="Z")
    other.once(expect=(OK, WAITING))
    again = procedure_of(server.dump(), id)
    if again != procedure or "erased on the server" not in other.said:
        raise Failure(f"{mode}: an erased session came back: {again} {other.said}")
    penteld.erase(id)


def test_gateways(rig, server):
    """Two rooms heard one pen: one Procedure, of the more complete, with both rooms' words."""
    server.reset()
    address = rig.env["DBUS_SYSTEM_BUS_ADDRESS"]
    id = fhir_rig.new_id()
    less, more = Penteld(address), Penteld(address)
    for room, n in ((less, 40), (more, 100)):
        room.add(id, n_records=n, passes=2)
        room.annotate(id, patient="6000")
    more.annotate(id, zone="nose", **{"pass": 1})
    said = {"operator": "from room 1", "reaction": "seen in room 1", "order": "A-1"}
    less.annotate(id, **said, wall_us=more.clock_us + 3_600_000_000)
    rooms = [(Gateway(rig, server, "two", "room-1"), less), (Gateway(rig, server, "two", "room-2"), more)]
    for order in (rooms, rooms[::-1], rooms + rooms[:1]):
        server.reset()
        for gateway, penteld in order:
            gateway.forget()
            penteld.start()
            gateway.once()
            penteld.stop()
        dump = server.dump()
        wanted = more.snapshot()[id] | said
        lines = fhir_rig.compare([wanted], dump)
        if lines:
            raise Failure(f"two gateways, {[g.gateway for g, _ in order]}: {lines[:5]}")
        heard = {r["agent"][0]["who"]["identifier"]["value"] for r in dump["resources"]
                 if r["resourceType"] == "Provenance"}
        if heard != {"room-1", "room-2"}:
            raise Failure(f"heard by {heard}")


def test_created_at_once(rig, server, mode):
    """Neither room saw the other's Procedure, and the one with less wrote last: the second look
    of the other makes it whole, and that of the first changes nothing more."""
    address = rig.env["DBUS_SYSTEM_BUS_ADDRESS"]
    id = fhir_rig.new_id()
    less, more = Penteld(address), Penteld(address)
    for room, n, name in ((less, 40, "room-1"), (more, 100, "room-2")):
        room.add(id, n_records=n, passes=2)
        room.annotate(id, patient="6001")
        room.gateway = Gateway(rig, server, "once", name)
    more.annotate(id, zone="nose", **{"pass": 1})
    less.annotate(id, note="seen in room 1", wall_us=more.clock_us + 3_600_000_000)

    def look(room):
        room.start()
        room.gateway.once()
        room.stop()
        return server.dump()

    def look_again(room):
        room.gateway.hurry()
        return look(room)

    written = []
    for room in (less, more):
        server.reset(mode=mode)
        written.append(look(room)["resources"])
        if room.gateway.waits() or "0 waiting" not in room.gateway.said:
            raise Failure(f"a second look is said to wait: {room.gateway.said}")
    server.seed(*(r for r in written[0] if r["id"] in {w["id"] for w in written[1]}))
    dump = look_again(more)
    lines = fhir_rig.compare([more.snapshot()[id] | {"note": "seen in room 1"}], dump)
    if lines:
        raise Failure(f"created at once: {lines[:5]}")
    n_writes = len(dump["writes"])
    dump = look_again(less)
    again = [w for w in dump["writes"][n_writes:] if "Provenance" not in str(w)]
    if again or len(look_again(more)["writes"]) != len(dump["writes"]):
        raise Failure(f"the second look of the lesser wrote {again}")


def test_taken_back(server, penteld, gateway, mode):
    """A patient that was wrong and is nobody's now: what was written under it is withdrawn,
    and comes back under the right one."""
    server.reset(mode=mode)
    gateway.forget()
    gateway.once(expect=(OK, WAITING))
    penteld.annotate(penteld.first, patient="")
    gateway.once(expect=(OK, WAITING))
    dump = server.dump()
    procedure = procedure_of(dump, penteld.first)
    parts = [procedure, *observations_of(dump, penteld.first)]
    if {part["status"] for part in parts} != {"entered-in-error"} or "Q-4711" in str(parts) or \
            len(parts) < 3 or "2 without a patient" not in gateway.said or dump["faults"]:
        raise Failure(f"taken back in mode {mode}: {gateway.said} {parts}")
    penteld.annotate(penteld.first, patient="Q-4711")
    gateway.once(expect=(OK, WAITING))
    check(f"mode {mode}, given again", sessions_of(penteld), server)


def test_lost_update(server, penteld, gateway, mode, transactions):
    """Another gateway writes between our read and our write: its record stays, our word is added."""
    server.reset(mode=mode, transactions=transactions)
    gateway.forget()
    gateway.once(expect=(OK, WAITING))
    penteld.annotate(penteld.first, note="told here")
    server.plan({"kind": "meddle", "method": "POST" if transactions else "PUT"})
    gateway.once(expect=(OK, WAITING))
    dump = server.dump()
    procedure = procedure_of(dump, penteld.first)
    record = {e["url"]: e for e in procedure["extension"][0]["extension"]}
    if dump["struck"] != 1 or record["gateway"]["valueString"] != "room-9" or \
            record["settled"]["valueUnsignedInt"] != 1100 or procedure["note"][0]["text"] != "told here":
        raise Failure(f"lost update in mode {mode}: {procedure}")


def test_split(server, penteld, gateway):
    """More entries than a bundle may have: begun, zones, then completed."""
    server.reset()
    gateway.forget()
    id = penteld.add(passes=9)
    for i in range(1, 10):
        penteld.annotate(id, zone=f"zone {i}", **{"pass": i})
    penteld.annotate(id, patient="7000")
    gateway.write(max_entries=3)
    gateway.once(expect=(OK, WAITING))
    dump = check("split", sessions_of(penteld), server)
    steps = [w.split() for w in dump["writes"] if id in w or w.startswith("Observation")]
    of_it = [s for s in steps if s[0] == f"Procedure/{id}"]
    if [s[1] for s in of_it] != ["in-progress", "completed"]:
        raise Failure(f"split: {of_it}")
    last_zone = max(i for i, s in enumerate(steps) if s[0].startswith("Observation") and
                    any(o["id"] in s[0] for o in observations_of(dump, id)))
    if steps.index(of_it[1]) < last_zone or steps.index(of_it[0]) > last_zone - 8:
        raise Failure("split: the Procedure was completed before its zones")
    gateway.write()


def test_patient(server, penteld, gateway):
    """Search and literal; what is not found is set aside with the reason and retried."""
    server.reset()
    server.seed({"resourceType": "Patient", "id": "pat-1",
                 "identifier": [{"system": fhir_rig.SYSTEM, "value": "8000"}]})
    gateway.forget()
    gateway.write(patient=f"search {fhir_rig.SYSTEM}")
    id = penteld.add(passes=1)
    penteld.annotate(id, patient="8000")
    gateway.once(expect=(OK, WAITING))
    if procedure_of(server.dump(), id)["subject"] != {"reference": "Patient/pat-1"}:
        raise Failure(f"search: {procedure_of(server.dump(), id)['subject']}")
    if "no Patient has this session's patient reference" not in gateway.said or "Q-4711" in gateway.said:
        raise Failure(f"search: {gateway.said}")
    gateway.forget()
    gateway.write(patient="literal", test_data="yes")
    penteld.annotate(id, patient="pat-1")
    gateway.once(expect=(OK, WAITING))
    procedure = procedure_of(server.dump(), id)
    if procedure["subject"] != {"reference": "Patient/pat-1"} or \
            procedure["meta"]["tag"][0]["code"] != "HTEST":
        raise Failure(f"literal: {procedure}")
    gateway.write()
    penteld.annotate(id, patient="8000")


def test_lenient(server, penteld, gateway):
    """A server that ignores the identifier in a search gives what it has: it is not taken for
    the session that was asked for, nor its patient for this one's."""
    lenient = {"kind": "lenient", "method": "GET", "path": "^/fhir/(Procedure|Patient)$", "times": 0}
    kept, penteld.sessions = penteld.sessions, {penteld.first: penteld.sessions[penteld.first]}
    server.reset(mode="search")
    gateway.forget()
    gateway.once(expect=(OK, WAITING))
    before = procedure_of(server.dump(), penteld.first)
    penteld.sessions = kept
    id = penteld.add(passes=1)
    penteld.annotate(id, patient="8100")
    server.plan(lenient)
    gateway.once(expect=(OK, WAITING))
    dump = server.dump()
    if dump["struck"] == 0 or procedure_of(dump, id) is None or \
            procedure_of(dump, penteld.first) != before:
        raise Failure(f"lenient: {dump['struck']} {procedure_of(dump, penteld.first)} {gateway.said}")
    server.reset()
    server.seed({"resourceType": "Patient", "id": "pat-1",
                 "identifier": [{"system": fhir_rig.SYSTEM, "value": "9999"}]})
    server.plan(lenient)
    gateway.forget()
    gateway.write(patient=f"search {fhir_rig.SYSTEM}")
    gateway.once(expect=(OK, WAITING))
    dump = server.dump()
    written = [r["id"] for r in dump["resources"] if r["resourceType"] == "Procedure" and
               r["subject"].get("reference") == "Patient/pat-1"]
    if dump["struck"] == 0 or written or "no Patient has" not in gateway.said:
        raise Failure(f"lenient: written on another patient: {written} {gateway.said}")
    gateway.write()


def test_codes(rig, server, penteld, gateway):
    server.reset()
    gateway.forget()
    codes = rig.directory / "codes"
    codes.write_text("[zone]\nforehead=http://snomed.info/sct|52795006|Forehead structure\n"
                     "[code]\nmicroneedling=urn:oid:1.2.3|MN|Needling;urn:oid:1.2.4|M2|Other\n")
    gateway.write(code_map=codes)
    gateway.once(expect=(OK, WAITING))
    dump = check("codes", sessions_of(penteld), server)
    procedure = procedure_of(dump, penteld.first)
    if [c["code"] for c in procedure["code"]["coding"]] != ["microneedling", "MN", "M2"] or \
            procedure["bodySite"][0]["coding"][0]["code"] != "52795006":
        raise Failure(f"codes: {procedure['code']} {procedure['bodySite']}")
    gateway.write()


def run(rig, server):
    penteld = Penteld(rig.env["DBUS_SYSTEM_BUS_ADDRESS"]).start()
    penteld.first = treat(penteld)[0]
    gateway = Gateway(rig, server)
    for mode, transactions in (("put", True), ("put", False), ("conditional", True), ("search", True)):
        test_mode(rig, server, penteld, gateway, mode, transactions)
    for mode in ("put", "search"):
        test_taken_back(server, penteld, gateway, mode)
    test_lost_update(server, penteld, gateway, "put", True)
    test_lost_update(server, penteld, gateway, "search", False)
    test_split(server, penteld, gateway)
    test_codes(rig, server, penteld, gateway)
    for mode in ("put", "search"):
        id = test_corrections(server, penteld, gateway, mode)
        test_erasure(server, penteld, gateway, id, mode)
    test_patient(server, penteld, gateway)
    test_lenient(server, penteld, gateway)
    penteld.stop()
    test_gateways(rig, server)
    test_created_at_once(rig, server, "put")
    print("ok: every kind of server, corrections, erasure, two gateways")


if __name__ == "__main__":
    fhir_rig.main(run, 180)
