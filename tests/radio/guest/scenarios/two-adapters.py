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
    ours = rig.memory_kib("penteld.service")
    pss, dirty, pss_bluez = ours["Pss"], ours["Private_Dirty"], rig.memory_kib("bluetooth.service")["Pss"]
    # F23.
    if pss > pss_bluez + 2048 or dirty > 4096:
        raise Failure(f"penteld PSS {pss} KiB, private dirty {dirty} KiB; bluetoothd PSS {pss_bluez} KiB")
    return f"{text}, PSS {pss} KiB beside bluetoothd's {pss_bluez}, private dirty {dirty}"
