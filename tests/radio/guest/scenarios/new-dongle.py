# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Another dongle than the enrolled ones: the state says what to do, enrolling adds a bond"""

import time

import treatment
from harness import Failure

BOOT = "plug"
ORDER = 4
GUESTS = ("13",)
LIMIT_S = 300


def run(rig):
    # btvirt gives addresses by place: only the fourth is one that this boot never enrolled.
    gateway, pen, _, new = rig.dongles("gateway", "pen", "second", "new")
    rig.unplug("second")
    treatment.begin(rig, "--pairing=-1", pens_on=[pen], gateway=gateway, passes=10)
    rig.unplug("gateway")
    rig.drop_central(pen)
    rig.wait_state(("needs-enrol",), 60)
    reason = rig.pens()["PT-0001"]["Reason"]
    if "enrol" not in reason:
        raise Failure(f"the state does not say what to do: {reason}")
    treatment.check_open(rig)
    began = time.monotonic()
    rig.ctl_ok("enroll", "PT-0001", "--adapter", new, timeout=90)
    back_s = treatment.back(rig, began, "enrolling on the new dongle")
    return f"streaming {back_s:.1f} s after enrolling, {treatment.end(rig)}"
