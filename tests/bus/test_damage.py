# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Pages of the index change under a penteld that records: it does not crash, it says so, it
ends or goes on as it can, and after the start that follows all that is sound is there."""

import sqlite3
import sys
import time

import harness
from compare import compare_all, settle

SERIALS = ["PT-0001", "PT-0002"]
ALTERED = 9
PAGE = 4096
ENDS_MAX = 3  # as often as a supervisor may have to start it again

# What is damaged: tables by the page that they begin with, and an index. Records that lay only
# there were not marked yet, or the pens have them still.
KINDS = ["session", "pass", "note", "sqlite_autoindex_session_1", "segment", "log", "journal", "raw"]


def check(true, what):
    if not true:
        raise harness.Failure(what)


def root_of(rig, name):
    db = sqlite3.connect(f"file:{rig.state}/store/index.db?mode=ro", uri=True)
    try:
        return db.execute("select rootpage from sqlite_master where name = ?", (name,)).fetchone()[0]
    finally:
        db.close()


def empty_wal(rig):
    """What lies in the WAL hides what lies below it."""
    db = sqlite3.connect(rig.state / "store/index.db", timeout=10.0)
    try:
        db.execute("pragma wal_checkpoint(truncate)")
    finally:
        db.close()


def spoil(rig, name):
    page = root_of(rig, name)
    empty_wal(rig)
    with open(rig.state / "store/index.db", "r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"x" * PAGE)


def has_ended(rig):
    """Of its own accord, because of the damage, and in no other way."""
    if rig.daemon.is_running():
        return False
    status = rig.daemon.process.returncode
    text = rig.daemon.err.read_text(errors="replace")
    check(status == 1 and "damaged" in text, f"penteld ended with {status}")
    return True


def look(rig):
    """What a user may do meanwhile; answers may be errors, and say so."""
    for words in (["sessions"], ["status"], ["pens"]):
        done = rig.ctl(*words, timeout=30.0)
        check(done.returncode in (harness.OK, harness.FAILED, harness.NO_DAEMON),
              f"{words}: {done}")


def says_so(rig):
    """In its health, or by a verification, or by its last words."""
    text = rig.daemon.err.read_text(errors="replace")
    if "damage" in text or not rig.daemon.is_running():
        return True
    return rig.ctl("verify", timeout=60.0).returncode == ALTERED


def run_kind(kind):
    with harness.Rig(f"damage {kind}") as rig:
        rig.start_sim("--pens=2", "--pairing=-1", "--wait-for-bond", "--speed=8", "--sessions=3",
                      "--passes=3")
        rig.start_daemon()
        rig.enroll(*SERIALS)
        rig.wait(lambda: any(s["state"] == "complete" for s in rig.ctl_json("sessions")), 60.0,
                 "a session to be over", every=0.2)
        spoil(rig, kind)
        n_ends = 0
        end = time.monotonic() + 90.0
        while not rig.sim.said("DONE"):
            check(time.monotonic() < end, "the treatments do not end")
            look(rig)
            if has_ended(rig):
                n_ends += 1
                check(n_ends <= ENDS_MAX, "it ends again and again")
                rig.start_daemon()
            time.sleep(0.2)
        check(says_so(rig), "nobody hears of the damage")
        if not has_ended(rig):
            rig.stop_daemon()
        rig.start_daemon()
        truth = rig.truth()
        settle(rig, lambda: compare_all(rig, truth), 40.0, "what was sound is lost")
        aside = list(rig.state.glob("damaged-*"))
        check(len(aside) == 1, f"aside: {aside}")
        done = rig.ctl("verify", timeout=60.0)
        check(done.returncode == harness.OK, f"after it: {done}")
        rig.stop_daemon()
        return f"ended {n_ends} times"


def count_anchors(rig):
    db = sqlite3.connect(f"file:{rig.state}/store/index.db?mode=ro", uri=True)
    try:
        return db.execute("select count(*) from anchor").fetchone()[0]
    finally:
        db.close()


def seal(rig):
    """As of two days ago what is over goes into a segment. Its path."""
    n_anchors = count_anchors(rig)
    rig.stop_daemon()
    # What is learnt of the clock at the next link is then not about sessions that are over.
    rig.start_daemon()
    rig.wait(lambda: count_anchors(rig) >= n_anchors + len(SERIALS), 20.0, "both pens to be linked")
    rig.stop_daemon()
    db = sqlite3.connect(rig.state / "store/index.db")
    with db:
        db.execute("update session set end_wall_us = end_wall_us - 172800000000")
    db.close()
    rig.start_daemon()
    return rig.wait(lambda: next((rig.state / "store/raw").glob("*.seg"), None), 30.0,
                    "a segment", every=0.2)


def run_sealed(kind):
    """A byte of a segment: a session cannot be read, which is said; all else goes on."""
    with harness.Rig(f"damage {kind}") as rig:
        rig.start_sim("--pens=2", "--pairing=-1", "--wait-for-bond", "--speed=8", "--sessions=2",
                      "--passes=2")
        rig.start_daemon()
        rig.enroll(*SERIALS)
        truth = rig.wait_done(90.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs from the truth")
        path = seal(rig)
        with open(path, "r+b") as file:
            file.seek(path.stat().st_size // 4)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0x55]))
        done = rig.ctl("verify", timeout=60.0)
        text = " ".join(done.stdout.split())
        check(done.returncode == ALTERED and text.count("its sealed records") == 1,
              f"not found: {done}")
        look(rig)
        ids = [session["id"] for session in rig.ctl_json("sessions", "--all")]
        check(len(ids) == 4, f"sessions: {ids}")
        for session in ids:
            rig.ctl_ok("annotate", session, "--note", "still here")
            check(rig.ctl_json("show", session)["note"] == "still here", f"{session} is silent")
        check(not list(rig.state.glob("damaged-*")), "a store that can be read went aside")
        rig.check_daemon()
        rig.stop_daemon()
        return f"1 of {len(ids)} sessions cannot be read"


def run():
    return harness.in_parallel(sys.argv[1:] or [*KINDS, "sealed"],
                               lambda kind: (run_sealed if kind == "sealed" else run_kind)(kind),
                               n_workers=2)


if __name__ == "__main__":
    harness.main(run, 300)
