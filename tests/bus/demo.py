# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What tests/demo shows: three pens treat, the gateway is killed in between and comes back,
and the clinic reads the sessions. Ends with the comparison against the pens' own truth."""

import subprocess
import sys
import time

import harness
from compare import compare_all, settle

SERIALS = ["PT-0001", "PT-0002", "PT-0003"]


def say(text):
    print(f"\n== {text}", flush=True)


def show(rig, *words):
    """pentelctl as a person runs it: on the terminal that there is."""
    print(f"$ pentelctl {' '.join(words)}", flush=True)
    env = {key: value for key, value in rig.env.items() if key != "NO_COLOR"}
    done = subprocess.run([str(harness.BUILD / "client/pentelctl"), *words], env=env,
                          stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode != harness.OK:
        raise harness.Failure(f"pentelctl {' '.join(words)}: exit {done.returncode}")


def n_treating(rig):
    return sum(bool(pen["sessions"]) and not pen["sessions"][-1]["ended"]
               for pen in rig.truth()["pens"])


def run():
    with harness.Rig("demo") as rig:
        say("a private bus, three simulated pens, penteld")
        rig.start_sim("--pens=3", "--sessions=2", "--passes=4", "--pairing=-1",
                      "--wait-for-bond", "--speed=3", "--seed=7", "--drop=1")
        rig.start_daemon()
        for serial in SERIALS:
            show(rig, "enroll", serial)
        say("the pens treat")
        rig.wait(lambda: n_treating(rig) >= 2, 30.0, "two pens to treat")
        time.sleep(3.0)
        show(rig, "pens")
        show(rig, "sessions")
        say("penteld is killed in mid-session (SIGKILL) and started again")
        rig.kill_daemon()
        time.sleep(1.0)
        rig.start_daemon()
        truth = rig.wait_done(120.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs from the truth")
        say("all treatments are over")
        show(rig, "sessions")
        last = truth["pens"][0]["sessions"][-1]
        show(rig, "show", last["id"])
        say("and after one more restart")
        rig.stop_daemon()
        rig.start_daemon()
        show(rig, "sessions")
        settle(rig, lambda: compare_all(rig, truth), 10.0, "pentelctl differs after a restart")
        rig.stop_daemon()
        n_passes = sum(s["pass_count"] for p in truth["pens"] for s in p["sessions"])
        n_sessions = sum(len(p["sessions"]) for p in truth["pens"])
        say(f"{n_sessions} sessions with {n_passes} passes equal what the pens did: record "
            "ranges, contact to the millisecond, depths to the micrometre")
    return 0


if __name__ == "__main__":
    harness.main(run, 220)
