# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Two adapters, another gateway, lost memory: what was bonded, what is missing and why."""

import expect
import scenes
import wire
from check import session_differences, settle
from pen import Habits, Pen
from plan import Plan, play
from world import World, main

ADAPTERS = ((3, "0C:11:22:33:44:01"), (10, "0C:11:22:33:44:02"))


def full(serial, last_octet, habits, marked):
    """A pen that had to overwrite the first records of its only session."""
    pen = Pen(serial, f"C4:00:00:00:00:{last_octet}", 0x5500 + int(last_octet, 16), 1, habits,
              capacity=60, boot_tick=900 * 1000000)
    plan = Plan(1000000, 20000, 10, depth=scenes.wave(500, 900, 20000),
                rate=lambda t: 1200)
    plan.begin(setting_um=700).treat(0, 10000000).wait(900000)
    pen.marked = marked
    session = play(pen, plan, 50)
    plan = Plan(1000000, 20000, 10, depth=scenes.wave(500, 900, 20000),
                rate=lambda t: 1200)
    plan.treat(0, 4000000).end()
    play(pen, plan, 11000000)
    return pen, session


def refused(world, pen):
    """A pen that is not in pairing mode is not enrolled, and that is said in a line."""
    done = world.ctl("enroll", pen.serial, "--timeout", "6")
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1, done
    assert not pen.bonds and ("read", wire.FEATURE) not in pen.seen


def formatted(world, pen, session):
    """A new log id: what was read stays, what comes is another session."""
    before = wire.session_id(pen.log_id, session)
    world.do(pen.format, 0x77)
    plan = Plan(1000000, 20000, 10, depth=lambda t: 321, rate=lambda t: 1)
    plan.begin().treat(0, 400000, 20000).end()
    again = world.do(play, pen, plan, 12000000)
    settle(world, lambda: session_differences(world, pen, again, "complete", []), 30,
           "after the pen was formatted")
    ids = {one["id"] for one in world.ctl_json("sessions")}
    assert before in ids and before != wire.session_id(0x77, again), ids


def run():
    # One operator ends pairing mode as soon as a bond was made.
    lost, one = full("F-1", "01", Habits(head_every_s=1.0, one_bond=True), 0)
    kept, two = full("F-2", "02", Habits(), 45)
    future = Pen("F-9", "C4:00:00:00:00:09", 9, 1, Habits(major=2))
    with World([lost, kept, future], ADAPTERS) as world:
        world.start_daemon()
        refused(world, lost)
        world.enroll(lost)
        world.enroll(kept)
        assert len(lost.bonds) == 1 and len(kept.bonds) == 2, (lost.bonds, kept.bonds)

        def differences():
            gone = [[one, lost.oldest - 1, "overwritten"]]
            elsewhere = [[two, kept.oldest - 1, "held-elsewhere"]]
            return (session_differences(world, lost, one, "lossy", gone)
                    + session_differences(world, kept, two, "complete", elsewhere))
        settle(world, differences, 30, "what is shown differs")
        formatted(world, lost, one)
        assert not lost.refused + kept.refused, lost.refused + kept.refused
        assert world.do(expect.session, kept, two)["pass_count"] == 2
        future.pairing = True
        done = world.ctl("enroll", future.serial, "--timeout", "10")
        state = [pen["state"] for pen in world.ctl_json("pens") if pen["serial"] == "F-9"]
        assert done.returncode != 0 or state == ["refused"], (done, state)
        assert world.stop("penteld") == 0, "penteld's end"


if __name__ == "__main__":
    main(run, 110)
