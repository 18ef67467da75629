# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""penteld without any adapter says so, and takes one that appears later"""

from harness import Failure

BOOT = "main"
ORDER = 0
LIMIT_S = 90

NO_RADIO = "no pen can be reached"


def run(rig):
    rig.wait(lambda: rig.is_active("penteld.service"), 30, "penteld without an adapter")
    rig.ctl_ok("sessions")
    doctor = rig.ctl("doctor", timeout=60)
    if doctor.returncode == 0 or NO_RADIO not in doctor.stdout:
        raise Failure(f"doctor with no adapter: exit {doctor.returncode}\n{doctor.stdout}")
    rig.controllers(4)

    def taken():
        return NO_RADIO not in rig.ctl("doctor", timeout=60).stdout
    rig.wait(taken, 30, "doctor to see the adapters", every=1.0)
    return "history served without an adapter, four taken later"
