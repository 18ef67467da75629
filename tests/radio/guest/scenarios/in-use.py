# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Another program holds a pen's notifications: the state says so, and ends with it"""

import os
import time

import treatment
from central import FEATURE, LIVE, Central
from harness import Failure

BOOT = "faults"
ORDER = 65
GUESTS = ("13",)
LIMIT_S = 200


def run(rig):
    treatment.begin(rig, passes=6)
    rig.sh("systemctl", "stop", "penteld.service")
    other = Central(rig, "hci0")
    address = rig.pen_address().replace(":", "_")
    other.device = f"/org/bluez/hci0/dev_{address}"
    rig.wait(lambda: not other.property("Connected"), 20, "penteld to let go of the link")
    other.connect()
    other.read(FEATURE)
    fd = other.acquire(LIVE)
    rig.sh("systemctl", "start", "penteld.service")
    rig.wait_state(("in-use",), 60)
    if rig.ctl("doctor", timeout=60).returncode == 0:
        raise Failure("doctor finds nothing wrong with a pen that is in use")
    os.close(fd)
    other.disconnect()
    began = time.monotonic()
    back_s = treatment.back(rig, began, "the other program letting go")
    return f"streaming {back_s:.1f} s after it was let go, {treatment.end(rig)}"
