# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The machine sleeps through logind in the middle of a session"""

import time
from pathlib import Path

import treatment
from harness import Failure

BOOT = "main"
ORDER = 70
GUESTS = ("13",)
LIMIT_S = 200


READY = "the machine may sleep"


def check_lock(rig):
    """The hardened unit can hold logind's delay lock (P27)."""
    locks = rig.busctl("call", "org.freedesktop.login1", "/org/freedesktop/login1",
                       "org.freedesktop.login1.Manager", "ListInhibitors")[0]
    if ["sleep", "penteld", "delay"] not in [[lock[0], lock[1], lock[3]] for lock in locks]:
        raise Failure(f"penteld holds no lock on sleep: {locks}")


def run(rig):
    treatment.begin(rig, passes=6)
    treatment.check_open(rig)
    check_lock(rig)
    # Deeper than this a guest whose root is on 9p never comes back (F19).
    Path("/sys/power/pm_test").write_text("freezer")
    rig.sh("systemctl", "suspend", timeout=60)
    began = time.monotonic()
    back_s = treatment.back(rig, began)
    if READY not in rig.journal("penteld", 100):
        raise Failure(f"penteld did not get ready for the sleep\n{rig.journal('penteld', 30)}")
    rig.wait(lambda: not check_lock(rig), 5, "the lock to be held again")
    return f"streaming {back_s:.1f} s after it woke, {treatment.end(rig)}"
