# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Three pens treat, nothing goes wrong: every session equals the truth, by pentelctl and
by the bus, and is still there after the daemon was ended and started again."""

import harness
from compare import compare_all, compare_list, list_on_bus, settle

SERIALS = ["PT-0001", "PT-0002", "PT-0003"]


def check_pens(rig):
    shown = {pen["serial"]: pen for pen in rig.ctl_json("pens")}
    truth = {pen["serial"]: pen for pen in rig.truth()["pens"]}
    if set(shown) != set(SERIALS):
        raise harness.Failure(f"pens: {sorted(shown)}")
    for serial, pen in shown.items():
        if pen["address"] != truth[serial]["address"] or pen["firmware"] != "1.4.2":
            raise harness.Failure(f"pens: {pen}")
        if not isinstance(pen["battery"], int):
            raise harness.Failure(f"pens: no battery: {pen}")


def check_marks(rig):
    """The pens were told what they may reuse: everything, as everything is durable."""
    def unmarked():
        return [f"{pen['serial']} marked {pen['marked']} of {pen['newest']}"
                for pen in rig.truth()["pens"] if pen["marked"] < pen["sessions"][-1]["last"]]
    settle(rig, unmarked, 30.0, "records not marked")


def run():
    with harness.Rig("treat") as rig:
        rig.start_sim("--pairing=-1", "--wait-for-bond", "--speed=5", "--sessions=2")
        rig.start_daemon()
        rig.enroll(*SERIALS)
        truth = rig.wait_done(90.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs from the truth")
        settle(rig, lambda: compare_list(truth, list_on_bus(rig), shape=False), 5.0,
               "the bus differs from the truth")
        check_pens(rig)
        check_marks(rig)
        rig.stop_daemon()
        rig.start_daemon()
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs after a restart")
        n_passes = sum(s["pass_count"] for p in truth["pens"] for s in p["sessions"])
        print(f"ok: 6 sessions, {n_passes} passes")
    return 0


if __name__ == "__main__":
    harness.main(run, 240)
