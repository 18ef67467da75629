# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The machine sleeps through logind in the middle of a session"""

import time
from pathlib import Path

import treatment

BOOT = "main"
ORDER = 70
GUESTS = ("13",)
LIMIT_S = 200


def run(rig):
    treatment.begin(rig, passes=6)
    treatment.check_open(rig)
    # Deeper than this a guest whose root is on 9p never comes back (F19).
    Path("/sys/power/pm_test").write_text("freezer")
    rig.sh("systemctl", "suspend", timeout=60)
    began = time.monotonic()
    back_s = treatment.back(rig, began)
    return f"streaming {back_s:.1f} s after it woke, {treatment.end(rig)}"
