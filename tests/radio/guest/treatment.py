# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What most scenarios have in common: a pen treats, something happens, and in the end
every session equals the truth.

hci0 and hci1 are the gateway's, hci2 and hci3 the pens'. A boot's scenarios use the same
enrolled pens, each with a log of its own.
"""
import threading
import time
import zlib

from compare import compare_all, settle
from harness import Failure

LINKED = ("live", "backfill", "connected")
SERIALS = ("PT-0001", "PT-0002")


def begin(rig, *options, sessions=1, passes=4, speed=1.5, n_pens=1, pens_on=None,
          gateway=None):
    """Pens enrolled and streaming, with a session under way on each."""
    if pens_on is None:
        rig.controllers(4)
        pens_on = [f"hci{2 + i}" for i in range(n_pens)]
    rig.check_daemon()
    seed = zlib.crc32(rig.label.encode()) % 100000 + 1
    rig.start_sim(f"--peripheral={','.join(pens_on)}", f"--pens={n_pens}",
                  f"--seed={seed}", "--pairing=120", "--wait-for-bond", f"--sessions={sessions}",
                  f"--passes={passes}", f"--speed={speed}", *options)
    for i, serial in enumerate(SERIALS[:n_pens]):
        # A scenario that failed before must not take the others of its boot with it.
        if rig.pens().get(serial, {}).get("State", "needs-enrol") == "needs-enrol":
            rig.enroll(i, gateway or f"hci{i}")
    for serial in SERIALS[:n_pens]:
        rig.wait_state(LINKED, 60, serial)
    rig.wait(lambda: n_begun(rig) >= n_pens, 30, "sessions to begin")


def n_begun(rig):
    return sum(len(pen["sessions"]) for pen in rig.truth()["pens"])


def check_open(rig):
    """The fault must have hit a session, else the scenario showed nothing."""
    if rig.sim.said("DONE"):
        raise Failure("the treatment was over before the fault")


def back(rig, began, since="the fault", serial="PT-0001", timeout=90):
    """Until the pen is followed again, in a session or out of one; seconds since began."""
    rig.wait_state(LINKED, timeout, serial)
    seconds = time.monotonic() - began
    rig.note_streaming(seconds, since)
    return seconds


class Gaps(threading.Thread):
    """Notes how long the pen is not followed each time that the pen itself says it left."""

    def __init__(self, rig, word, since):
        super().__init__(daemon=True)
        self.rig = rig
        self.word = word
        self.since = since
        self.over = threading.Event()

    def n_said(self):
        return self.rig.sim.out.read_text(errors="replace").count(self.word)

    def run(self):
        n_said, began = 0, None
        while not self.over.wait(0.1):
            if self.n_said() > n_said:
                n_said, began = self.n_said(), time.monotonic()
                gone = False
            if began is None:
                continue
            linked = self.rig.pens().get("PT-0001", {}).get("State") in LINKED
            gone = gone or not linked
            if gone and linked:
                self.rig.note_streaming(time.monotonic() - began, self.since)
                began = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.over.set()
        self.join(10)


def end(rig, timeout=120, settle_s=60):
    """Until the treatments are over and penteld shows exactly what happened."""
    truth = rig.wait_done(timeout)
    serials = [pen["serial"] for pen in truth["pens"]]
    try:
        settle(rig, lambda: compare_all(rig, truth, pens=serials), settle_s, "penteld differs from the truth")
    except Failure:
        print(rig.journal("penteld", 40))
        raise
    sessions = [s for pen in truth["pens"] for s in pen["sessions"]]
    return f"{len(sessions)} sessions, {sum(s['pass_count'] for s in sessions)} passes equal"
