# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""bluetoothd is stopped for a minute in the middle of a session"""

import time

import treatment

BOOT = "faults"
ORDER = 60
GUESTS = ("13",)
LIMIT_S = 240
STOPPED_S = 60


def run(rig):
    treatment.begin(rig)
    treatment.check_open(rig)
    rig.sh("systemctl", "stop", "bluetooth.service")
    rig.wait_state(("no-adapter",), 20)
    time.sleep(STOPPED_S)
    rig.check_daemon()
    began = time.monotonic()
    rig.sh("systemctl", "start", "bluetooth.service")
    back_s = treatment.back(rig, began, "systemctl start bluetooth, a minute after its stop")
    return f"streaming {back_s:.1f} s after its start, {treatment.end(rig)}"
