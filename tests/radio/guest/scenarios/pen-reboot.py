# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen loses power in the middle of its sessions"""

import treatment
from harness import Failure

BOOT = "faults"
ORDER = 51
GUESTS = ("13",)
LIMIT_S = 240


def run(rig):
    treatment.begin(rig, "--reboot-every=3000", sessions=2)
    with treatment.Gaps(rig, "lost power", "the pen's power cut"):
        text = treatment.end(rig)
    n_reboots = rig.sim.out.read_text().count("lost power")
    if n_reboots == 0:
        raise Failure("the pen never lost power")
    return f"{n_reboots} resets, {text}"
