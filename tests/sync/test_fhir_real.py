# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Simulated pens, the real penteld, pentelctl, pentel-sync and a FHIR server: what was treated
is on the server as pentelctl shows it, and so is a late word; seconds are measured."""

import subprocess
import time

import fhir_rig
from fhir_rig import OK, WAITING, Failure, Gateway, check

SERIALS = ["PT-0001", "PT-0002"]


def sessions_of(rig):
    """As pentelctl shows them, without what is unknown."""
    sessions = [rig.ctl_json("show", s["id"]) for s in rig.ctl_json("sessions", "-n", "50")]
    return [strip(session) for session in sessions]


def strip(value):
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [strip(item) for item in value]
    return value


def until_there(what, gateway, rig, server, timeout=40):
    """Deliver until the server has what pentelctl shows; sessions settle in their own time."""
    end = time.monotonic() + timeout
    while True:
        gateway.once(expect=(OK, WAITING))
        try:
            return check(what, sessions_of(rig), server)
        except Failure:
            if time.monotonic() > end:
                raise
        time.sleep(0.5)


def test_live(rig, server, gateway, id):
    """Running as the service does: from `pentelctl annotate` to the server."""
    process = subprocess.Popen([word for word in gateway.argv() if word != "--once"], env=gateway.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.0)
        rig.ctl_ok("annotate", id, "--note", "seen while it runs")
        began = time.monotonic()
        while True:
            procedure = fhir_rig.procedure_of(server.dump(), id)
            if procedure.get("note", [{}])[0].get("text") == "seen while it runs":
                break
            if time.monotonic() - began > 20:
                raise Failure(f"not delivered within 20 s: {procedure.get('note')}")
            time.sleep(0.02)
        took = time.monotonic() - began
    finally:
        process.terminate()
        if process.wait(10) != 0:
            raise Failure(f"pentel-sync ended with {process.returncode} on SIGTERM")
    return took


def run(rig, server):
    rig.start_sim("--pens=2", "--pairing=-1", "--wait-for-bond", "--speed=8", "--sessions=2",
                  "--passes=3", "--seed=5")
    rig.start_daemon()
    rig.enroll(*SERIALS)
    rig.wait_done(90.0)
    sessions = rig.ctl_json("sessions", "-n", "50")
    if len(sessions) != 4:
        raise Failure(f"{len(sessions)} sessions, not 4")
    for i, session in enumerate(sessions[:3]):
        rig.ctl_ok("annotate", session["id"], "--patient", f"90{i}", "--operator", "N. N.")
    gateway = Gateway(rig, server)
    until_there("treated", gateway, rig, server)
    rig.ctl_ok("annotate", sessions[0]["id"], "--zone", "forehead", "--pass", "1")
    rig.ctl_ok("annotate", sessions[0]["id"], "--note", "late")
    rig.ctl_ok("annotate", sessions[3]["id"], "--patient", "903")
    dump = until_there("annotated late", gateway, rig, server)
    if len([r for r in dump["resources"] if r["resourceType"] == "Procedure"]) != 4:
        raise Failure("not all four are there")
    rig.kill_daemon()
    rig.start_daemon()
    gateway.forget()
    until_there("after SIGKILL of penteld and a new state", gateway, rig, server)
    took = test_live(rig, server, gateway, sessions[0]["id"])
    print(f"ok: 4 sessions; {took:.2f} s from pentelctl annotate to the server")
    return 0


if __name__ == "__main__":
    fhir_rig.main(run, 170)
