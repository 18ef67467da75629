# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Two pens treat at once, on two adapters"""

import treatment
from harness import Failure

BOOT = "main"
ORDER = 40
LIMIT_S = 200


def run(rig):
    treatment.begin(rig, n_pens=2)
    adapters = {pen["Adapter"] for pen in rig.pens().values()}
    if len(adapters) != 2:
        raise Failure(f"both pens are on {adapters}")
    return treatment.end(rig)
