# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""bluetoothd is restarted in the middle of a session"""

import time

import treatment

BOOT = "main"
ORDER = 20
LIMIT_S = 180


def run(rig):
    treatment.begin(rig)
    treatment.check_open(rig)
    began = time.monotonic()
    rig.sh("systemctl", "restart", "bluetooth.service")
    back_s = treatment.back(rig, began, "systemctl restart bluetooth")
    return f"streaming {back_s:.1f} s later, {treatment.end(rig)}"
