# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The clock is stepped by an hour and by ten years in the middle of a session"""

import time

import treatment

BOOT = "faults"
ORDER = 80
GUESTS = ("13",)
LIMIT_S = 200

STEPS_S = (3600, -3600, 10 * 365 * 86400, -10 * 365 * 86400)


def run(rig):
    treatment.begin(rig)
    treatment.check_open(rig)
    moved_s = 0
    try:
        for step_s in STEPS_S:
            moved_s += step_s
            began = time.monotonic()
            rig.sh("date", "--set", f"@{time.time() + step_s:.3f}")
            treatment.back(rig, began, f"the clock stepped by {step_s} s")
            time.sleep(1.0)
            rig.check_daemon()
        return treatment.end(rig)
    finally:
        if moved_s:
            rig.sh("date", "--set", f"@{time.time() - moved_s:.3f}")
