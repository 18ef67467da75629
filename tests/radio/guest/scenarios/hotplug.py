# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A dongle that is plugged in starts penteld by udev, one that is pulled does not end it"""

import time

from harness import Failure

BOOT = "main"
ORDER = 3
LIMIT_S = 120


def run(rig):
    rig.controllers(4)
    rig.sh("systemctl", "stop", "penteld.service")
    rig.unplug("pad-3")
    rig.wait(lambda: rig.powered(3), 20, "the dongle to be gone", every=0.3)
    if rig.is_active("penteld.service"):
        raise Failure("penteld is active, so nothing is shown")
    began = time.monotonic()
    name = rig.plug("pad-3")
    rig.wait(lambda: rig.is_active("penteld.service"), 20, "udev to have penteld started", every=0.2)
    started_s = time.monotonic() - began
    wanted = rig.sh("udevadm", "info", "--query=property", f"/sys/class/bluetooth/{name}")
    if "SYSTEMD_WANTS=" not in wanted or "penteld.service" not in wanted:
        raise Failure(f"{name} does not want penteld:\n{wanted}")
    before = rig.show("penteld.service", "MainPID", "NRestarts")
    rig.unplug("pad-3")
    rig.wait(lambda: rig.powered(3), 20, "the dongle to be gone again", every=0.3)
    rig.plug("pad-3")
    rig.controllers(4)
    if rig.show("penteld.service", "MainPID", "NRestarts") != before:
        raise Failure("penteld did not live through a pulled dongle")
    return f"active {started_s:.1f} s after the dongle went in"
