# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Two pens treat at once, on two adapters; memory beside bluetoothd's"""

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
    text = treatment.end(rig)
    pss, dirty = rig.memory_kib("penteld.service")
    pss_bluez, _ = rig.memory_kib("bluetooth.service")
    # F23.
    if pss > pss_bluez + 2048 or dirty > 4096:
        raise Failure(f"penteld PSS {pss} KiB, private dirty {dirty} KiB; bluetoothd PSS {pss_bluez} KiB")
    return f"{text}, PSS {pss} KiB beside bluetoothd's {pss_bluez}, private dirty {dirty}"
