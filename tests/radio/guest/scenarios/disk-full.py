# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The disk fills up in the middle of a session and is emptied again"""

import time
from pathlib import Path

import treatment
from harness import Failure

BOOT = "faults"
ORDER = 95
GUESTS = ("13",)
LIMIT_S = 240
STATE = Path("/var/lib/pentel")


def small_disk(rig):
    rig.sh("systemctl", "stop", "penteld.service")
    rig.sh("mount", "-t", "tmpfs", "-o", "size=40m,mode=700,uid=pentel,gid=pentel", "small", STATE)
    rig.sh("systemctl", "start", "penteld.service")


def fill():
    """To the last page, else the store still finds room for a session."""
    for size in (1 << 20, 1 << 12):
        with open(STATE / f"filler-{size}", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(size)) == size:
                    continue
            except OSError:
                continue


def says_full(rig):
    return "store is full" in rig.ctl("doctor", timeout=60).stdout


def run(rig):
    rig.controllers(4)
    small_disk(rig)
    treatment.begin(rig, passes=14)
    treatment.check_open(rig)
    if says_full(rig):
        raise Failure("doctor says that the store is full before it is")
    fill()
    treatment.check_open(rig)
    rig.wait(lambda: says_full(rig), 60, "doctor to name the full store", every=0.5)
    rig.check_daemon()
    rig.ctl_ok("sessions")
    for filler in STATE.glob("filler-*"):
        filler.unlink()
    began = time.monotonic()
    rig.wait(lambda: not says_full(rig), 60, "doctor to see that there is room again", every=0.5)
    treatment.back(rig, began, "room on the disk again, and doctor saying so")
    text = treatment.end(rig)
    if rig.show("penteld.service", "NRestarts")["NRestarts"] != "0":
        raise Failure("penteld did not live through it")
    return text
