# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Pens whose logs were written before the gateway came, each with other habits."""

import wire
from pen import Habits, Pen
from plan import Plan, play


def wave(low, high, period):
    """A depth that changes from sample to sample and never the same way twice soon."""
    return lambda t: low + (t // period * 7919 + t // (period * 5)) % (high - low + 1)


def coarse():
    """1/32768 s ticks, the smallest MTU, boots in no order, the oldest records overwritten;
    lifts and contacts to either side of both thresholds by one tick."""
    habits = Habits(mtu=23, hz=32768, early_frames=True, extra_fields=True,
                    late_name=True, optional_racp=False)
    pen = Pen("K-7", "D1:00:00:00:00:07", 0xF00D00C0FFEE0001, 900, habits,
              first_number=4001, boot_tick=32768 * 100)
    under, over = 26214, 26215          # 799.99 ms, 800.02 ms
    short, enough = 9830, 9831          # 299.99 ms, 300.02 ms
    plan = Plan(32768, 655, 256, depth=lambda t: 1250, rate=lambda t: 1000, load=lambda t: 300)
    plan.begin(setting_um=1250, cart=("C-1", "L-9", "", 36)).wait(7)
    plan.treat(100, 20000, under, 20001, over, enough, over, 40000, 30000)
    plan.treat(0, short).button(1).treat(0, enough, 100).treat(0, 20000).end()
    first = play(pen, plan, 777)
    pen.boot = 17
    plan = Plan(32768, 655, 1, depth=wave(300, 900, 655), rate=lambda t: 777,
                load=lambda t: t % 9)
    plan.begin(setting_um=900).treat(655 * 10, 655 * 40, 655 * 50, 655 * 30, 655).end(2)
    second = play(pen, plan, 5)
    pen.boot = 4000000000
    plan = Plan(32768, 655, 256, depth=wave(1000, 1031, 655), rate=lambda t: 900 + t % 50,
                load=lambda t: 2000)
    plan.begin().treat(0, 655 * 300, 655 * 60, 655 * 170).end()
    third = play(pen, plan, 32768 * 10)
    return pen, [first, second, third]


def later_minor():
    """Microseconds; holes, bodies and fields of a later minor version, packed fields in
    pieces, a session cut off by a reset and its continuation."""
    habits = Habits(mtu=185, extra_fields=True, short_segments=True, head_every_s=1.0,
                    decoy=True, claims_battery=False)
    pen = Pen("Q.B_2", "FE:DC:BA:98:76:54", 0x8000000000000002, 9, habits,
              boot_tick=600 * 1000000)
    plan = Plan(1000000, 20000, 10, depth=wave(400, 2300, 20000), rate=lambda t: 10000,
                load=lambda t: 1 + t % 3, odd=True)
    plan.begin(cart=("Ü-1", "L", "2027-01-01", None)).unknown().treat(0, 2000000, 820000, 1000000)
    plan.unknown(63).setting(1750).treat(400000, 900000, 100000).fault(7, "motor stall").end()
    holed = play(pen, plan, 1000)
    # One block of 200 ms in the second pass, and a body that nobody knows.
    pen.puncture(holed + 1, 2)
    pen.puncture(holed + 16)
    plan = Plan(1000000, 20000, 7, depth=wave(100, 110, 20000), rate=lambda t: 5,
                load=lambda t: 1)
    plan.begin(setting_um=100).treat(20000, 1400000, 20000)
    cut = play(pen, plan, 9000000)
    pen.reset(2, 0)
    plan = Plan(1000000, 20000, 13, depth=wave(100, 110, 20000), rate=lambda t: 1,
                load=lambda t: 1)
    plan.begin(setting_um=100, continues=cut).treat(0, 600000, 200000, 600000).end(4)
    resumed = play(pen, plan, 700)
    pen.boot, pen.boot_tick = 700000, 600 * 1000000
    return pen, [holed, cut, resumed]


def seldom():
    """One sample a second, nothing written while lifted, cartridges changed in mid-session,
    range_end late, a record outside any session before, between and after."""
    habits = Habits(mtu=517, range_end_after_s=1.6, resolved_first=True, answer_first=True)
    pen = Pen("x", "C0:00:00:00:00:01", 3, 1, habits, boot_tick=3600 * 1000000)
    pen.append(wire.FAULT, wire.number(1, 40), {"code": 40, "text": ""}, tick=1)
    plan = Plan(1000000, 1000000, 3, depth=wave(1, 4095, 1000000), rate=lambda t: 1166,
                load=lambda t: 1000, leave_out_lifted=True)
    plan.begin(cart=("A", "LA", "", 12)).treat(0, 3000000, 6000000, 2500000, 500000)
    plan.treat(250000, 1750000, 1000000).wait(9000000)
    plan.remove("A").attach("B", "LB", "2026-12-31", 7).setting(4095)
    plan.treat(0, 1000000, 999999, 1, 0, 2000000)
    plan.end(3)
    first = play(pen, plan, 60000000)
    pen.append(77, wire.blob(1, "?"), tick=100000000)
    return pen, [first]
