# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen out of its mind beside a good one: the good one's sessions equal the truth, the
bad one is named, the daemon lives."""

import sys

import harness
from compare import compare_all, settle

GOOD = "PT-0001"
BAD = "PT-0002"
# These can be enrolled; what they send is refused.
SENDERS = ["length", "crc", "duplicate", "oversize", "endless", "unknown-type"]
# These are refused at enrolment, in words.
REFUSED = {"major": "version", "serial": "serial|another|bond"}


def is_done(rig, serial):
    return any(pen["serial"] == serial and pen["done"] for pen in rig.truth()["pens"])


def enroll_refused(rig, kind):
    address = rig.truth()["pens"][1]["address"]
    done = rig.ctl("enroll", address, timeout=90.0)
    text = done.stderr.strip().lower()
    if done.returncode != harness.FAILED:
        raise harness.Failure(f"enroll: exit {done.returncode}, not 1: {text!r}")
    if not any(word in text for word in REFUSED[kind].split("|")):
        raise harness.Failure(f"enroll does not say why: {text!r}")


def is_named(rig):
    """Counted or said of the bad pen, or found by doctor."""
    for pen in rig.ctl_json("pens"):
        if pen["serial"] == BAD and pen.get("malformed"):
            return True
    done = rig.ctl("doctor", "--json")
    return BAD in done.stdout


def run_kind(kind):
    with harness.Rig(f"hostile {kind}") as rig:
        rig.start_sim("--pens=2", "--pairing=-1", "--wait-for-bond", "--speed=4",
                      f"--hostile={kind}", "--hostile-pen=2")
        rig.start_daemon()
        rig.enroll(GOOD)
        if kind in REFUSED:
            enroll_refused(rig, kind)
        else:
            rig.enroll(BAD)
        rig.wait(lambda: is_done(rig, GOOD), 60.0, "the good pen to have treated", every=0.2)
        truth = rig.truth()
        settle(rig, lambda: compare_all(rig, truth, [GOOD]), 30.0, "the good pen suffers")
        if kind == "unknown-type":
            rig.wait(lambda: is_done(rig, BAD), 60.0, "the other pen to have treated", every=0.2)
            truth = rig.truth()
            settle(rig, lambda: compare_all(rig, truth), 30.0, "unknown bodies do harm")
        elif kind not in REFUSED:
            rig.wait(lambda: is_named(rig), 30.0, "the bad pen to be named", every=0.5)
        rig.stop_daemon()


def run():
    kinds = sys.argv[1:] or SENDERS + list(REFUSED)
    return harness.in_parallel(kinds, run_kind)


if __name__ == "__main__":
    harness.main(run, 300)
