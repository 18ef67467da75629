# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pentelctl enroll bonds, a pen treats, every session equals the truth"""

from compare import compare_all, settle

BOOT = "main"
ORDER = 10
LIMIT_S = 150


def run(rig):
    rig.controllers(4)
    rig.check_daemon()
    rig.start_sim("--peripheral=hci1", "--pens=1", "--pairing=60", "--wait-for-bond", "--sessions=2",
                  "--speed=4", "--passes=3")
    took = rig.enroll(0)
    truth = rig.wait_done(90)
    settle(rig, lambda: compare_all(rig, truth, pens=["PT-0001"]), 30, "pentelctl differs from the truth")
    n_passes = sum(s["pass_count"] for s in truth["pens"][0]["sessions"])
    return f"enrolled in {took:.1f} s, 2 sessions, {n_passes} passes"
