# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A second dongle that the pen was enrolled on takes over when the first is pulled"""

import time

import treatment
from harness import Failure

BOOT = "plug"
ORDER = 2
GUESTS = ("13",)
LIMIT_S = 240


def run(rig):
    names = rig.adapters()
    if set(names) != {"hci0", "hci1"}:
        raise Failure(f"the boot's first scenario left {sorted(names)}")
    second = rig.plug("second")
    treatment.begin(rig, "--pairing=-1", pens_on=["hci1"], passes=8)
    rig.ctl_ok("enroll", rig.pen_address(), "--adapter", second, timeout=90)
    rig.wait_state(("live",), 60)
    treatment.check_open(rig)
    before = rig.pens()["PT-0001"]["Adapter"]
    began = time.monotonic()
    rig.unplug("gateway" if before == names["hci0"]["Address"] else "second")
    rig.drop_central("hci1")
    rig.wait(lambda: rig.pens().get("PT-0001", {}).get("Adapter") not in ("", before), 90,
             "the other adapter to take the pen")
    back_s = treatment.back(rig, began)
    return f"streaming on the other {back_s:.1f} s later, {treatment.end(rig)}"
