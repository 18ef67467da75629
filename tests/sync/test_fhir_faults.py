# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Whatever breaks between pentel-sync and the server, and wherever pentel-sync is killed: in
the end the server holds what penteld holds, once, and nothing was skipped in silence."""

import signal
import time

import fhir_rig
from fake import Penteld
from fhir_rig import OK, WAITING, Failure, Gateway, check, procedure_of

WRITE = {"method": "POST", "path": "^/fhir$|^/fhir/.*"}
HUGE = {"bytes": 1 << 20, "every": 1}

# Name to what goes wrong; each is met by the first write unless it says where.
FAULTS = {
    "drop before": [{"kind": "drop-before", **WRITE}],
    "drop after commit": [{"kind": "drop-after", **WRITE}],
    "drop after commit, thrice": [{"kind": "drop-after", "times": 3, **WRITE}],
    "half an answer": [{"kind": "half", **WRITE}],
    "half of a read": [{"kind": "half", "path": "Procedure/"}],
    "an answer that trickles for ever": [{"kind": "endless", **WRITE}],
    "an answer without end": [{"kind": "endless", **HUGE, **WRITE}],
    "no answer": [{"kind": "hang-after", **WRITE}],
    "a proxy's page": [{"kind": "garbage", **WRITE}],
    "an answer to something else": [{"kind": "garbage", "body": "{\"resourceType\":\"Bundle\"}", **WRITE}],
    "brackets without end": [{"kind": "garbage", "body": "[" * 200000, **WRITE}],
    "an answer without entries": [{"kind": "garbage", **WRITE,
                                   "body": "{\"resourceType\":\"Bundle\",\"entry\":[]}"}],
    "429": [{"kind": "status", "status": 429, "retryAfter": 0, **WRITE}],
    "408": [{"kind": "status", "status": 408, **WRITE}],
    "500 twice": [{"kind": "status", "status": 500, "times": 2, **WRITE}],
    "503 for reads": [{"kind": "status", "status": 503, "path": "Procedure/"}],
    "full disk": [{"kind": "status", "status": 507, **WRITE}],
    "a server that forgets": [{"kind": "forget", **WRITE}],
    "413 twice": [{"kind": "status", "status": 413, "times": 2, **WRITE}],
    "412 once": [{"kind": "status", "status": 412, **WRITE}],
    "409 twice": [{"kind": "status", "status": 409, "times": 2, **WRITE}],
}
# Where ids are the server's a lost answer is what makes duplicates.
DUPLICATES = ["drop before", "drop after commit", "drop after commit, thrice", "half an answer",
              "a proxy's page", "a server that forgets", "500 twice"]


def treat(penteld):
    id = penteld.add(passes=2)
    penteld.annotate(id, patient="Q-4711", operator="N. N.")
    penteld.annotate(id, zone="chin", **{"pass": 2})
    return id


def sessions_of(penteld):
    return list(penteld.snapshot().values())


def test_fault(server, penteld, gateway, name, **options):
    server.reset(**options)
    gateway.forget()
    server.plan(*FAULTS[name])
    gateway.until_done()
    dump = check(f"{name} {options}", sessions_of(penteld), server)
    wanted = sum(fault.get("times", 1) for fault in FAULTS[name])
    # What was committed in spite of it is found there, and not written again.
    is_met = dump["struck"] == wanted or (dump["struck"] >= 1 and "after commit" in name)
    if not is_met:
        raise Failure(f"{name} {options}: met {dump['struck']} times, not {wanted}")


def test_retry_after(server, penteld, gateway):
    """The wait that the server asks for is kept, and the reason has its words."""
    server.reset()
    gateway.forget()
    server.plan({"kind": "status", "status": 429, "retryAfter": 500, **WRITE})
    gateway.once(expect=WAITING)
    (_, reason, wait_s), = gateway.waits()
    if not 495 < wait_s < 700 or "429: too many requests" not in reason:
        raise Failure(f"Retry-After: 500 is kept as {wait_s:.0f} s, {reason}")
    gateway.once(expect=WAITING)
    if server.dump()["resources"]:
        raise Failure("Retry-After: tried again too early")
    gateway.hurry()
    gateway.until_done()
    check("Retry-After", sessions_of(penteld), server)


def test_set_aside(server, penteld, gateway):
    """A refusal for good concerns one session; it is told in the server's words, and over when
    the session changes."""
    server.reset()
    gateway.forget()
    other = treat(penteld)
    server.plan({"kind": "status", "status": 422, "text": "not Q-4711 on a Tuesday", **WRITE})
    gateway.once(expect=(OK, WAITING))
    if "1 set aside" not in gateway.said or "on a Tuesday" not in gateway.said:
        raise Failure(f"set aside: {gateway.said}")
    if "Q-4711" in gateway.said:
        raise Failure(f"set aside: the patient's number is in the log: {gateway.said}")
    if len([r for r in server.dump()["resources"] if r["resourceType"] == "Procedure"]) != 1:
        raise Failure("set aside: the other session did not go on")
    for session in list(penteld.sessions):
        penteld.annotate(session, note="again")
    gateway.until_done()
    check("set aside, then changed", sessions_of(penteld), server)
    penteld.erase(other)


def test_nothing_said(server, penteld, gateway):
    """Whatever a server quotes of what people said, also where its words are cut, is not shown."""
    server.reset()
    gateway.forget()
    id = treat(penteld)
    penteld.annotate(id, patient="zq-patient", operator="zq-Zo\u00eb", note="zq-note\nsecond line")
    penteld.annotate(id, zone="zq-zone")
    gateway.until_done()
    for n in (1, *range(230, 300, 7)):
        server.plan({"kind": "status", "status": 422, "times": 0, **WRITE, "text":
                     "zq-note\nsecond line, zq-Zo\u00eb, zq-zone " + "\u00e4" * n + " zq-patient" * 9})
        penteld.annotate(id, operator="zq-Zo\u00eb")
        gateway.once(expect=WAITING)
        reason = next(reason for session, reason, _ in gateway.waits() if session == id)
        said = gateway.said + reason
        if "422: ..., ..., ... \u00e4" not in reason or "zq-" in said or "second line" in said or \
                "\\x" in reason or len(reason.encode()) > 600:
            raise Failure(f"said: {n} {said}")
    penteld.erase(id)


def test_restored(server, penteld, gateway):
    """A server that lost everything gets it back with the next word."""
    server.reset()
    gateway.forget()
    gateway.until_done()
    server.reset()
    penteld.annotate(penteld.first, note="after the loss")
    gateway.until_done()
    check("a restored server", [penteld.snapshot()[penteld.first]], server)


def kill_at(server, penteld, gateway, fault, **options):
    """Kill it while it waits for that answer; then run it again. False: it never came so far."""
    server.reset(**options)
    gateway.forget()
    server.plan(fault)
    process = gateway.start()
    end = time.monotonic() + 20
    while process.poll() is None and server.dump()["struck"] == 0:
        if time.monotonic() > end:
            raise Failure(f"kill at {fault}: neither there nor over")
        time.sleep(0.02)
    struck = server.dump()["struck"]
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    server.plan()
    if struck:
        gateway.until_done()
    check(f"killed at {fault} {options}", sessions_of(penteld), server)
    return struck


def test_kills(server, penteld, gateway):
    n_steps = 0
    for options in ({}, {"mode": "search"}):
        for kind in ("hang", "hang-after"):
            # A read that was cut off left nothing: one place among the reads shows it.
            steps = [{"kind": kind, "skip": 3, "method": "GET"}]
            writes = [{"kind": kind, "skip": i, "path": "^/fhir$|^/fhir/[A-Z]", "method": method}
                      for method in ("POST", "PUT") for i in range(8)]
            for fault in steps + writes:
                if not kill_at(server, penteld, gateway, fault, **options):
                    if fault in steps:
                        raise Failure(f"killed nowhere: {fault}")
                    continue
                n_steps += 1
    for skip in range(3):  # a session of several bundles
        gateway.write(max_entries=3)
        n_steps += kill_at(server, penteld, gateway, {"kind": "hang-after", "skip": skip, **WRITE})
    gateway.write()
    if n_steps < 14:
        raise Failure(f"only {n_steps} steps were there to be killed at")
    return n_steps


def run(rig, server):
    penteld = Penteld(rig.env["DBUS_SYSTEM_BUS_ADDRESS"]).start()
    penteld.first = treat(penteld)
    gateway = Gateway(rig, server)
    test_retry_after(server, penteld, gateway)
    test_restored(server, penteld, gateway)
    test_set_aside(server, penteld, gateway)
    test_nothing_said(server, penteld, gateway)
    gateway.write(timeout_s=1)
    began = time.monotonic()
    for name in FAULTS:
        test_fault(server, penteld, gateway, name)
    for name in DUPLICATES:
        test_fault(server, penteld, gateway, name, mode="search")
    for name in DUPLICATES[1:4]:
        test_fault(server, penteld, gateway, name, mode="conditional")
    n_faults = len(FAULTS) + len(DUPLICATES) + 3
    print(f"ok: {n_faults} faults in {time.monotonic() - began:.0f} s", flush=True)
    gateway.write()
    began = time.monotonic()
    n_steps = test_kills(server, penteld, gateway)
    print(f"ok: killed at {n_steps} steps in {time.monotonic() - began:.0f} s", flush=True)
    penteld.stop()
    return 0


if __name__ == "__main__":
    fhir_rig.main(run, 240)
