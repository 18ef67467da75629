# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The disk fills up in the middle of a session and is emptied again"""

import shutil
from pathlib import Path

import treatment
from harness import Failure

BOOT = "main"
ORDER = 95
GUESTS = ("13",)
LIMIT_S = 240
STATE = Path("/var/lib/pentel")


def small_disk(rig):
    rig.sh("systemctl", "stop", "penteld.service")
    rig.sh("mount", "-t", "tmpfs", "-o", "size=40m,mode=700,uid=pentel,gid=pentel", "small", STATE)
    rig.sh("systemctl", "start", "penteld.service")


def fill():
    with open(STATE / "filler", "wb") as filler:
        try:
            while True:
                filler.write(bytes(65536))
                filler.flush()
        except OSError:
            return


def run(rig):
    rig.controllers(4)
    small_disk(rig)
    treatment.begin(rig, passes=10)
    treatment.check_open(rig)
    fill()
    rig.wait(lambda: shutil.disk_usage(STATE).free < 4 << 20, 10, "the disk to be full")
    rig.wait(lambda: "disk" in rig.ctl("doctor", timeout=60).stdout, 60, "doctor to name the disk", every=2.0)
    rig.check_daemon()
    rig.ctl_ok("sessions")
    (STATE / "filler").unlink()
    text = treatment.end(rig)
    if rig.show("penteld.service", "NRestarts")["NRestarts"] != "0":
        raise Failure("penteld did not live through it")
    return text
