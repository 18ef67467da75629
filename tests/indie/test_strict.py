# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What the texts say and is easily missed: what is not measured is unknown and never 0,
only button 1 ends a pass, a pass keeps the needles that it began with, samples of two
rates, bodies that break a rule are counted, windows recover from a long record, numbers go up to 2^32 - 1."""

import time

import wire
from check import session_differences, settle
from exports import export_differences
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
    write("torn", Plan(1000000, 20000, 10, depth=depth, rate=rate).begin()
          .treat(0, 3000000).end())
    for lost in range(6, 11):
        pen.puncture(sessions["torn"] + lost)
    write("no passes", Plan(1000000, 20000, 10, depth=depth, rate=rate).begin()
          .treat(0, 280000, 20000).end())
    return pen, sessions


def broken(pen):
    """A session with a sample block whose runs do not add up; whole, and with a good CRC."""
    pen.append(wire.BEGIN, wire.session_begin("1"))
    pen.append(wire.SAMPLES, wire.samples(20000, [100] * 10, [0, 100000]))
    pen.append(wire.END, wire.number(1, 1))


ADAPTERS = ((3, "0C:11:22:33:44:01"), (10, "0C:11:22:33:44:02"))
CASES = ("no rate", "no rate, exported", "button 2", "needles", "between samples",
         "two intervals", "torn", "no passes", "broken body", "name")


def malformed(world, pen):
    """Counted, for its pen too, and said by its name."""
    bad = world.ctl_json("status")["records_bad"]
    of_pen = world.ctl_json("pens")[0]["malformed"]
    doctor = world.ctl("doctor").stdout
    named = f"pen {pen.serial} sent 1 malformed" in doctor
    return [] if bad == of_pen == 1 and named else [f"records_bad {bad}, of the pen {of_pen}, "
                                                    f"doctor: {doctor}"]


def name(world, pen):
    """Bonded on one of two adapters: its pairing mode was ended with that."""
    shown = world.ctl_json("pens")[0]["name"]
    return [] if shown == pen.name else [f"name {shown}, not {pen.name}"]


def last_number(world, pen):
    """The greatest number there is; nothing that comes later is stored where this hangs."""
    pen.clock_source = 4    # set by hand: no number is left for a record of that
    plan = Plan(1000000, 20000, 10, depth=lambda t: 100, rate=lambda t: 1).begin()
    plan.treat(0, 400000).end()
    session = play(pen, plan, 100000000)
    world.enroll(pen, timeout=20)
    settle(world, lambda: session_differences(world, pen, session, "complete", []), 6,
           "last number")


def busy(world, pen):
    """Memory that cannot be read for three seconds: asked again, on the same link."""
    session = play(pen, Plan(1000000, 20000, 10, depth=lambda t: 100, rate=lambda t: 1)
                   .begin().treat(0, 400000).end(), 100000000)
    world.enroll(pen, timeout=20)
    settle(world, lambda: session_differences(world, pen, session, "complete", []), 10, "busy")
    n_asked = sum(1 for what in pen.seen if what[0] == "write" and what[2][:1] == b"\x01")
    n_links = sum(1 for what in pen.seen if what[0] == "linked")
    assert n_asked <= 6 and n_links <= 2, f"busy: {n_asked} reports on {n_links} links"


def windows(world, pen):
    """One long record does not make the gateway ask for the short ones one by one."""
    plan = Plan(1000000, 20000, 200, depth=wave(1, 4000, 20000), rate=lambda t: 1)
    plan.begin().treat(0, 4000000)
    plan.n_block = 10
    session = play(pen, plan.treat(0, 40000000).end(), 100000000)
    world.enroll(pen, timeout=20)
    settle(world, lambda: session_differences(world, pen, session, "complete", []), 30, "windows")
    n_asked = sum(1 for what in pen.seen if what[0] == "write" and what[2][:1] == b"\x01")
    assert n_asked < 120, f"windows: {n_asked} reports for {len(pen.log)} records"


def clock(world, pen):
    """Written once, as the host's clock is synchronised and the pen's was never set."""
    world.enroll(pen, timeout=20)
    settle(world, lambda: [] if pen.clock_source == 1 else ["no clock"], 10, "clock")
    world.do(pen.line.link.drop)
    n_linked = sum(1 for what in pen.seen if what[0] == "linked")
    settle(world, lambda: [] if sum(1 for what in pen.seen if what[0] == "linked") > n_linked
           and world.ctl_json("pens")[0]["state"] == "connected" else ["away"], 15, "clock")
    n_sets = sum(1 for what in pen.seen if what[0] == "write" and what[1] == wire.CLOCK)
    assert n_sets == 1, f"clock: written {n_sets} times"
    said = [fact["unix_us"] for fact in pen.facts.values() if fact["kind"] == wire.CLOCK_SET]
    assert abs(said[0] / 1e6 - time.time()) < 60, said


def texts(world, pen, sessions):
    """The cases of the one pen, as (case, what is wrong)."""
    for case in CASES:
        def differences():
            if case == "broken body":
                return malformed(world, pen)
            if case == "name":
                return name(world, pen)
            if case == "no rate, exported":
                return export_differences(pen, sessions["no rate"])
            if case == "torn":
                first = sessions[case] + 6
                return session_differences(world, pen, sessions[case], "lossy",
                                           [[first, first + 4, "hole"]])
            return session_differences(world, pen, sessions[case], "complete", [])
        try:
            settle(world, differences, 10 if case == CASES[0] else 2, case)
            yield case, None
        except AssertionError as error:
            yield case, str(error).split("\n[")[0]


def alone(serial, habits, check, first_number=1):
    """One pen in a world of its own."""
    pen = Pen(serial, "E7:00:00:00:00:02", 0x0A0B, 1, habits, boot_tick=500 * 1000000,
              first_number=first_number)
    try:
        with World([pen]) as world:
            world.start_daemon()
            check(world, pen)
        return serial, None
    except AssertionError as error:
        return serial, str(error).split("\n[")[0]


def run():
    pen, sessions = make()
    with World([pen], ADAPTERS) as world:
        world.start_daemon()
        world.enroll(pen)
        world.do(broken, pen)
        results = list(texts(world, pen, sessions))
        assert not pen.refused, pen.refused
    results.append(alone("busy", Habits(busy=3), busy))
    results.append(alone("windows", Habits(mtu=23), windows))
    results.append(alone("clock", Habits(), clock))
    results.append(alone("last-number", Habits(), last_number, 2**32 - 4))
    for case, wrong in results:
        print(f"FAILED {wrong}" if wrong else f"ok {case}")
    n_failed = sum(1 for _, wrong in results if wrong)
    assert not n_failed, f"{n_failed} of {len(results)}"


if __name__ == "__main__":
    main(run, 115)
