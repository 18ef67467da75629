# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The retention period of the configuration: what is older goes by itself, what is held
stays, what its pen sends again stays erased, and a tombstone says why."""

import re
import sqlite3
import struct

import harness
from compare import compare_all, settle

PEN = "PT-0001"
AGO_US = 200 * 86400 * 1000000
DAYS = 100
ERASURE = "older than the retention period"


def check(true, what):
    if not true:
        raise harness.Failure(what)


def change(rig, sql, *values):
    """Something in the index of a penteld that has ended."""
    db = sqlite3.connect(rig.state / "store/index.db")
    with db:
        for statement in sql:
            db.execute(statement, values)
    db.close()


def count(rig, sql):
    db = sqlite3.connect(f"file:{rig.state}/store/index.db?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchone()[0]
    finally:
        db.close()


def start(rig, config):
    rig.daemon = rig._start("penteld", harness.BUILD / "daemon/penteld", "--state-dir", rig.state,
                            "--config", config)
    rig.wait(lambda: rig.owns("org.pentel") or not rig.daemon.is_running(), 15.0,
             "penteld to own org.pentel")
    rig.check_daemon()


def states(rig):
    return {s["id"]: s["state"] for s in rig.ctl_json("sessions", "--all")}


def link_again(rig, config):
    """Whatever is learnt of the clock then is not about sessions that are over."""
    n_anchors = count(rig, "select count(*) from anchor")
    start(rig, config)
    rig.wait(lambda: count(rig, "select count(*) from anchor") > n_anchors, 20.0,
             "the pen to be linked")


def held_range(rig, session):
    db = sqlite3.connect(f"file:{rig.state}/store/index.db?mode=ro", uri=True)
    try:
        return db.execute("select number, last from session where id = ?", (session,)).fetchone()
    finally:
        db.close()


def linked_line(rig):
    """What was missing when it was linked, in the words of the last penteld."""
    lines = [line for line in rig.daemon.err.read_text(errors="replace").splitlines()
             if f"{PEN}: linked" in line]
    return lines[-1] if lines else "0 missing"


def has_all(rig):
    """Every number is known again, as the log's row has it."""
    newest = int(re.search(r"newest (\d+)", linked_line(rig))[1])
    db = sqlite3.connect(f"file:{rig.state}/store/index.db?mode=ro", uri=True)
    try:
        stored = db.execute("select stored from log").fetchone()[0]
    finally:
        db.close()
    return stored == struct.pack("<II", 1, newest)


def check_gone(rig, gone, held):
    found = states(rig)
    check(all(found[i] == "erased" for i in gone) and found[held] == "complete", f"{found}")
    listed = {s["id"] for s in rig.ctl_json("sessions", "--all", "--state", "erased")}
    check(listed == set(gone), f"listed as erased: {listed}")
    check(count(rig, f"select count(*) from journal where instr(entry, '{ERASURE}') > 0") ==
          len(gone), "a tombstone for each, once")
    for session in gone:
        check(rig.ctl_json("show", session)["passes"] == [], f"{session} holds something")


def run():
    with harness.Rig("retention") as rig:
        rig._start("clock", harness.BUILD / "tests/bus/fake-clock")
        rig.start_sim("--pens=1", "--pairing=-1", "--wait-for-bond", "--speed=8", "--sessions=3")
        config = rig.directory / "penteld.conf"
        config.write_text("[store]\nretention-days=0\n")
        start(rig, config)
        rig.enroll(PEN)
        truth = rig.wait_done(90.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs from the truth")
        ids = [session["id"] for session in truth["pens"][0]["sessions"]]
        rig.ctl_ok("hold", ids[1], "--reason", "a case")
        rig.stop_daemon()
        link_again(rig, config)
        rig.stop_daemon()
        # As of half a year ago; without a period nothing happens.
        change(rig, ["update session set start_wall_us = start_wall_us - ?1,"
                     " end_wall_us = end_wall_us - ?1",
                     "update anchor set wall_us = wall_us - ?1"], AGO_US)
        link_again(rig, config)
        check(set(states(rig).values()) == {"complete"}, f"without a period: {states(rig)}")
        rig.stop_daemon()
        config.write_text(f"[store]\nretention-days={DAYS}\n")
        start(rig, config)
        gone = [ids[0], ids[2]]
        settle(rig, lambda: [] if all(states(rig)[i] == "erased" for i in gone) else [states(rig)],
               30.0, "what is too old stays")
        check_gone(rig, gone, ids[1])
        # The pen is asked for all of it again, as by a store that knows of none.
        rig.stop_daemon()
        before = count(rig, "select count(*) from raw where session in"
                            " (select number from session where state = 'erased')")
        check(before == 0, f"{before} records of erased sessions")
        first, last = held_range(rig, ids[1])
        change(rig, ["update log set stored = ?, marked = 0"], struct.pack("<II", first, last))
        start(rig, config)
        rig.wait(lambda: "0 missing" not in linked_line(rig) and has_all(rig), 30.0,
                 "the pen to send it again", every=0.5)
        check_gone(rig, gone, ids[1])
        rig.stop_daemon()
        print(f"ok: {len(gone)} of {len(ids)} sessions erased by themselves")
    return 0


if __name__ == "__main__":
    harness.main(run, 200)
