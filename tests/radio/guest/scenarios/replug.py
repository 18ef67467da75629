# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The gateway's dongle is pulled in the middle of a session and plugged in again"""

import time

import treatment

BOOT = "plug"
ORDER = 1
GUESTS = ("13",)
LIMIT_S = 200
AWAY_S = 4


def run(rig):
    gateway, pen = rig.dongles("gateway", "pen")
    treatment.begin(rig, pens_on=[pen], gateway=gateway, passes=6)
    treatment.check_open(rig)
    rig.unplug("gateway")
    rig.wait_state(("no-adapter", "needs-enrol"), 20)
    time.sleep(AWAY_S)
    # btvirt tells the pen's side nothing of it (F19).
    rig.drop_central(pen)
    began = time.monotonic()
    again = rig.plug("gateway")
    back_s = treatment.back(rig, began, "plugging in again")
    return f"{gateway} became {again}, streaming {back_s:.1f} s later, {treatment.end(rig)}"
