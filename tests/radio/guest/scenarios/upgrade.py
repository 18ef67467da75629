# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""penteld is upgraded by a newer package in the middle of a session"""

import time
from pathlib import Path

import treatment
from harness import Failure

BOOT = "main"
ORDER = 90
LIMIT_S = 240


def run(rig):
    newer = [str(path) for path in Path("/radio/newer").glob("penteld_*.deb")]
    treatment.begin(rig, passes=6)
    treatment.check_open(rig)
    before = rig.show("penteld.service", "MainPID")
    began = time.monotonic()
    rig.sh("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "--no-install-recommends", "install",
           *newer, timeout=90)
    back_s = treatment.back(rig, began, "apt install of the newer package")
    if rig.show("penteld.service", "MainPID") == before:
        raise Failure("the old penteld still runs")
    version = rig.sh("dpkg-query", "-W", "-f", "${Version}", "penteld")
    return f"{version}, streaming {back_s:.1f} s after apt began, {treatment.end(rig)}"
