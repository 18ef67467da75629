# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The machine sleeps through logind in the middle of a session"""

import time
from pathlib import Path

import treatment
from gi.repository import Gio
from harness import Failure

BOOT = "faults"
ORDER = 70
GUESTS = ("13",)
LIMIT_S = 200
READY = "the machine may sleep"


def has_lock(rig):
    """Whether the hardened unit holds logind's delay lock (P27)."""
    reply = rig.bus.call_sync("org.freedesktop.login1", "/org/freedesktop/login1",
                              "org.freedesktop.login1.Manager", "ListInhibitors", None, None,
                              Gio.DBusCallFlags.NONE, 5000, None)
    return ("sleep", "penteld", "delay") in [(what, who, mode) for what, who, _, mode, *_ in reply.unpack()[0]]


def run(rig):
    treatment.begin(rig, passes=6)
    treatment.check_open(rig)
    if not has_lock(rig):
        raise Failure("penteld holds no lock on sleep")
    # Deeper than this a guest whose root is on 9p never comes back (F19).
    Path("/sys/power/pm_test").write_text("freezer")
    rig.sh("systemctl", "suspend", timeout=60)
    began = time.monotonic()
    back_s = treatment.back(rig, began)
    if READY not in rig.journal("penteld", 100):
        raise Failure(f"penteld did not get ready for the sleep\n{rig.journal('penteld', 30)}")
    rig.wait(lambda: has_lock(rig), 5, "the lock to be held again")
    return f"streaming {back_s:.1f} s after it woke, {treatment.end(rig)}"
