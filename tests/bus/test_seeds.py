# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Twenty seeds with losses, falling links, resets and damage on the air, and penteld
killed once in the middle of a session: every session equals the truth."""

import sys
import time

import harness
from compare import compare_all, settle

SERIALS = ["PT-0001", "PT-0002"]


def is_treating(rig):
    return any(pen["sessions"] and not pen["sessions"][-1]["ended"]
               for pen in rig.truth()["pens"])


def sim_options(seed):
    options = [f"--seed={seed}", "--pens=2", "--sessions=2", "--passes=4", "--pairing=-1",
               "--wait-for-bond", "--speed=4", "--drop=2", "--disconnect-every=4000",
               "--absent-ms=300", "--absent-connect-ms=5000"]
    if seed % 2 == 0:
        options.append("--reboot-every=20000")
    if seed % 3 == 0:
        options += ["--bad-crc=1", "--overtake=20"]
    if seed % 5 == 0:
        options.append("--mtu=64")
    if seed % 7 == 0:
        options.append("--holes=1")
    return options


def run_seed(seed):
    luck = harness.seeded(seed)
    with harness.Rig(f"seed {seed}") as rig:
        rig.start_sim(*sim_options(seed))
        rig.start_daemon()
        rig.enroll(*SERIALS)
        rig.wait(lambda: is_treating(rig), 40.0, "a session to be cut")
        time.sleep(luck.uniform(0.2, 2.0))
        in_session = is_treating(rig)
        rig.kill_daemon()
        time.sleep(luck.uniform(0.0, 1.0))
        rig.start_daemon()
        truth = rig.wait_done(120.0)
        settle(rig, lambda: compare_all(rig, truth), 60.0, "pentelctl differs from the truth")
        n_sessions = sum(len(pen["sessions"]) for pen in truth["pens"])
        where = "in a session" if in_session else "between sessions"
        return f"{n_sessions} sessions, killed {where}"


def run():
    seeds = [int(word) for word in sys.argv[1:]] or list(range(1, 21))
    return harness.in_parallel(seeds, run_seed)


if __name__ == "__main__":
    harness.main(run, 600)
