# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What the texts say and is easily missed: what is not measured is unknown and never 0,
only button 1 ends a pass, needles change within a pass, samples of two rates, bodies that
break a rule are counted."""

import json

import wire
from check import session_differences, settle
from pen import Habits, Pen
from plan import Plan, play
from scenes import wave
from world import World, main


def make():
    pen = Pen("S", "E7:00:00:00:00:01", 0x0102030405060708, 1, Habits(one_bond=True),
              boot_tick=500 * 1000000)
    sessions = {}

    def write(name, plan):
        sessions[name] = play(pen, plan, pen.newest * 1000000)

    depth = wave(600, 700, 20000)
    rate = lambda t: 1000
    write("no rate", Plan(1000000, 20000, 10, depth=depth).begin(cart=("N", "L", "", 5))
          .treat(0, 600000).end())
    write("button 2", Plan(1000000, 20000, 10, depth=depth, rate=rate).begin()
          .treat(0, 600000).button(2).treat(0, 600000).end())
    write("needles", Plan(1000000, 20000, 10, depth=depth, rate=rate)
          .begin(cart=("N", "L", "", 10)).treat(0, 600000, 20000).remove("N")
          .attach("M", "L", "", 36).treat(0, 400000).end())
    write("between samples", Plan(1000000, 1000000, 2, depth=depth, rate=rate)
          .begin().treat(300000, 500000, 1000000).end())
    plan = Plan(1000000, 20000, 10, depth=lambda t: 500, rate=rate).begin().treat(0, 1000000)
    plan.interval, plan.depth = 200000, lambda t: 1500
    write("two intervals", plan.treat(0, 1000000).end())
    write("no passes", Plan(1000000, 20000, 10, depth=depth, rate=rate).begin()
          .treat(0, 280000, 20000).end())
    return pen, sessions


def broken(pen):
    """A sample block whose runs do not add up, whole and with a good CRC."""
    message = wire.samples(20000, [100] * 10, [0, 100000])
    return pen.append(wire.SAMPLES, message)


ADAPTERS = ((3, "0C:11:22:33:44:01"), (10, "0C:11:22:33:44:02"))
CASES = ("no rate", "button 2", "needles", "between samples", "two intervals", "no passes",
         "broken body", "name")


def malformed(world, pen):
    shown = world.ctl_json("pens")[0]["malformed"]
    told = json.dumps(world.ctl_json("doctor"))
    return [] if shown and pen.serial in told else [f"malformed {shown}, doctor: {told[:300]}"]


def name(world, pen):
    """Bonded on one of two adapters: its pairing mode was ended with that."""
    shown = world.ctl_json("pens")[0]["name"]
    return [] if shown == pen.name else [f"name {shown}, not {pen.name}"]


def run():
    pen, sessions = make()
    with World([pen], ADAPTERS) as world:
        world.start_daemon()
        world.enroll(pen)
        world.do(broken, pen)
        failed = 0
        for case in CASES:
            def differences():
                if case == "broken body":
                    return malformed(world, pen)
                if case == "name":
                    return name(world, pen)
                return session_differences(world, pen, sessions[case], "complete", [])
            try:
                settle(world, differences, 8, case)
                print(f"ok {case}")
            except AssertionError as error:
                text = str(error).split("\n[")[0]
                print(f"FAILED {text}")
                failed += 1
        assert not pen.refused, pen.refused
        assert not failed, f"{failed} of {len(CASES)}"


if __name__ == "__main__":
    main(run, 115)
