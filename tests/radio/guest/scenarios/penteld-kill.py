# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""penteld is killed in the middle of a session, systemd starts it again"""

import time

import treatment
from harness import Failure

BOOT = "main"
ORDER = 21
LIMIT_S = 180


def run(rig):
    treatment.begin(rig)
    treatment.check_open(rig)
    before = int(rig.show("penteld.service", "NRestarts")["NRestarts"])
    began = time.monotonic()
    rig.sh("systemctl", "kill", "--signal=KILL", "penteld.service")
    rig.wait(lambda: rig.pens(), 30, "penteld to be back")
    back_s = treatment.back(rig, began, "SIGKILL")
    if int(rig.show("penteld.service", "NRestarts")["NRestarts"]) != before + 1:
        raise Failure("systemd did not restart penteld exactly once")
    return f"streaming {back_s:.1f} s later, {treatment.end(rig)}"
