# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen falls silent in the middle of a record of a report: the gateway gives up after
10 s, writes abort, and asks again; meanwhile the other pen's log is read."""

import time

import scenes
import wire
from check import session_differences, settle
from pen import Habits, Pen
from plan import Plan, play
from world import World, main


def run():
    silent = Pen("Z", "F1:22:00:00:00:01", 0x99, 6, Habits(mtu=23, stalls=1, optional_racp=False),
                 boot_tick=100 * 1000000)
    plan = Plan(1000000, 20000, 10, depth=scenes.wave(1, 4095, 20000), rate=lambda t: 1000)
    one = play(silent, plan.begin().treat(0, 3000000, 100000).end(), 5)
    other, nums = scenes.seldom()
    with World([silent, other]) as world:
        world.start_daemon()
        world.enroll(silent)
        world.enroll(other)
        settle(world, lambda: session_differences(world, other, nums[0], "complete", []), 9,
               "the other pen suffers")
        began = time.monotonic()
        settle(world, lambda: session_differences(world, silent, one, "complete", []), 40,
               "after the report that stalled")
        print(f"settled {time.monotonic() - began:.0f} s after the other pen")
        aborts = [what for what in silent.seen if what == ("write", wire.RACP, b"\x03\x00")]
        assert len(aborts) == 1, f"{len(aborts)} aborts"
        assert not silent.refused, silent.refused


if __name__ == "__main__":
    main(run, 90)
