# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen walks out of range again and again while it treats"""

import treatment
from harness import Failure

BOOT = "main"
ORDER = 50
LIMIT_S = 240


def run(rig):
    treatment.begin(rig, "--disconnect-every=7000", "--absent-ms=3000", sessions=2)
    with treatment.Gaps(rig, "dropped its link", "the pen's leaving, for 3 s"):
        text = treatment.end(rig)
    out = rig.sim.out.read_text()
    if "dropped its link" not in out:
        raise Failure("the pen never left")
    return f"{out.count('dropped its link')} links lost, {text}"
