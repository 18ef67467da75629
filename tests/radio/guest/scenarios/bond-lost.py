# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The pen forgets its bond: the state says so, and enrolling it again cures it"""

import time

import treatment

BOOT = "faults"
ORDER = 75
GUESTS = ("13",)
LIMIT_S = 240


def run(rig):
    treatment.begin(rig, "--pairing=-1", passes=8)
    treatment.check_open(rig)
    gateway = rig.adapters()["hci0"]["Address"].replace(":", "_")
    rig.drop_central("hci2")
    rig.sh("busctl", "--timeout=90", "call", "org.bluez", "/org/bluez/hci2", "org.bluez.Adapter1", "RemoveDevice", "o",
           f"/org/bluez/hci2/dev_{gateway}", timeout=100)
    lost_s = rig.wait_state(("needs-enrol",), 90)
    began = time.monotonic()
    rig.enroll(0)
    back_s = treatment.back(rig, began, "enrolling again")
    return f"said after {lost_s:.1f} s, streaming {back_s:.1f} s after enrolling, {treatment.end(rig)}"
