# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A second pen is enrolled on the adapter that waits for the first, which is switched off"""

import time

import treatment
from compare import compare_all, settle

BOOT = "main"
ORDER = 16
LIMIT_S = 150


def run(rig):
    rig.controllers(4)
    if "PT-0001" not in rig.pens():
        treatment.begin(rig)
        rig.sim.stop(timeout=10.0)
    rig.wait_state(("absent",), 60)
    # The first pen's adapter does not exist: it stays off.
    rig.sim = rig.start("pensim", "pensim", "--truth", rig.truth_file, "--verbose", "--peripheral=hci9,hci3",
                        "--pens=2", "--seed=77", "--pairing=120", "--wait-for-bond", "--sessions=1", "--speed=4",
                        "--passes=3")
    rig.wait(lambda: rig.sim.said("PT-0002 advertises"), 30, "the second pen to advertise")
    time.sleep(0.5)
    began = time.monotonic()
    rig.ctl_ok("enroll", rig.pen_address(1), "--adapter", "hci0", timeout=90)
    took_s = time.monotonic() - began
    rig.wait(lambda: "PT-0002 has treated" in rig.sim.out.read_text(), 60, "the treatment to end")
    settle(rig, lambda: compare_all(rig, rig.truth(), pens=["PT-0002"]), 60, "penteld differs from the truth")
    # Others of this boot want it on an adapter of its own.
    rig.ctl_ok("forget", "PT-0002", "--force")
    return f"enrolled in {took_s:.1f} s"
