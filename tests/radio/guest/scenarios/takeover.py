# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A second dongle that the pen was enrolled on takes over when the first is pulled"""

import time

import treatment

BOOT = "plug"
ORDER = 2
GUESTS = ("13",)
LIMIT_S = 240


def run(rig):
    gateway, pen, second = rig.dongles("gateway", "pen", "second")
    address = rig.adapters()[gateway]["Address"]
    treatment.begin(rig, "--pairing=-1", pens_on=[pen], gateway=gateway, passes=8)
    rig.ctl_ok("enroll", rig.pen_address(), "--adapter", second, timeout=90)
    rig.wait_state(("live",), 60)
    treatment.check_open(rig)
    before = rig.pens()["PT-0001"]["Adapter"]
    began = time.monotonic()
    rig.unplug("gateway" if before == address else "second")
    rig.drop_central(pen)
    rig.wait(lambda: rig.pens().get("PT-0001", {}).get("Adapter") not in ("", before), 90,
             "the other adapter to take the pen")
    back_s = treatment.back(rig, began, "the first dongle pulled")
    return f"streaming on the other {back_s:.1f} s later, {treatment.end(rig)}"
