# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Two treatments as they happen: notifications lost, the link lost, penteld killed, one pen
reset in mid-session. Afterwards everything is there, and equal."""

import signal
import time

import expect
import wire
from check import session_differences, settle, time_differences
from follow import Follower
from pen import Habits, Pen
from plan import Live, Plan, wait_until
from scenes import wave
from world import World, main


def make():
    habits = Habits(mtu=23, hz=32768, early_frames=True, lose_every=41, answer_first=True)
    steady = Pen("L-1", "D5:44:33:22:11:00", 0xA1A2A3A4A5A6A7A8, 5, habits, boot_tick=3000000,
                 first_number=2**31 - 5)
    habits = Habits(mtu=185, short_segments=True, extra_fields=True, lose_every=29)
    fallen = Pen("R_2", "D5:44:33:22:11:01", 0xFFFFFFFFFFFFFFFF, 70, habits, boot_tick=5)
    return steady, fallen


def treatment(hz, interval, n_block):
    third = interval * 15
    plan = Plan(hz, interval, n_block, depth=wave(700, 1600, interval), rate=lambda t: 1010,
                load=lambda t: t % 11)
    plan.begin(cart=("C", "L", "", 9), setting_um=1600)
    plan.treat(third, interval * 120, interval * 42, interval * 30, third, interval * 20)
    plan.button(1).treat(0, interval * 60, third)
    plan.setting(1000).treat(0, interval * 150, interval * 2)
    return plan.end()


def show_live(world, pen, num):
    """While it goes on it is called live."""
    id = wire.session_id(pen.log_id, num)

    def live():
        shown = [one for one in world.ctl_json("sessions") if one["id"] == id]
        return shown and shown[0]["state"] == "live" and shown[0]["ended_at"] is None
    wait_until(live, 8, f"the session of {pen.serial} to be live", every=0.3)


def run():
    steady, fallen = make()
    with World([steady, fallen]) as world:
        world.start_daemon()
        world.enroll(steady)
        world.enroll(fallen)
        wait_until(lambda: all(pen.line and wire.LIVE in pen.line.subscribed
                               for pen in (steady, fallen)), 20, "both pens to be followed")
        follower = Follower(world, steady)
        one = world.live(Live(steady, treatment(32768, 655, 10)))
        two = world.live(Live(fallen, treatment(1000000, 20000, 25)))
        wait_until(lambda: one.session and two.session, 5, "the sessions to begin")
        show_live(world, steady, one.session)
        world.do(lambda: steady.line.link.drop())
        time.sleep(1.0)
        old = world.do(fallen.reset, 12, 7)
        assert old == two.session
        plan = Plan(1000000, 20000, 1, depth=wave(1, 9, 20000), rate=lambda t: 10)
        plan.begin(continues=old).treat(0, 1500000, 20000).end(2)
        three = world.live(Live(fallen, plan))
        time.sleep(1.0)
        different, n_shown = follower.differences(one.session)
        assert not different and n_shown > 3, (different, n_shown, follower.lines[:3])
        world.stop("penteld", signal.SIGKILL)
        time.sleep(0.5)
        # What was in the air then met a pen that nobody listened to any more.
        late = [what for pen in (steady, fallen) for what in pen.refused]
        assert all(what[0] == 8 or "0xfd" in str(what[0]) for what in late), late
        steady.refused.clear()
        fallen.refused.clear()
        world.start_daemon()
        wait_until(lambda: not one.steps and not three.steps, 30, "the treatments to end")

        def differences():
            return (session_differences(world, steady, one.session, "complete", [])
                    + session_differences(world, fallen, two.session, "complete", [])
                    + session_differences(world, fallen, three.session, "complete", [])
                    + time_differences(world, steady, one.session)
                    + time_differences(world, fallen, three.session))
        settle(world, differences, 40, "what is shown differs")
        assert world.do(expect.session, steady, one.session)["pass_count"] == 3
        shown = world.ctl_json("show", wire.session_id(fallen.log_id, three.session))
        assert world.stop("penteld") == 0, "penteld's end"
        assert not steady.refused + fallen.refused, steady.refused + fallen.refused
        assert shown["continues"] == two.session, shown["continues"]


if __name__ == "__main__":
    main(run, 110)
