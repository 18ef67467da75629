# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Three pens of other makers with full logs: enrolled, read, shown as computed here."""

import json

import scenes
import wire
from check import session_differences, settle, time_differences
from exports import export_differences
from world import World, main


def expected(world, logs):
    (coarse, one), (minor, two), (seldom, three) = logs
    out = []
    for num in one:
        out += session_differences(world, coarse, num, "complete", [])
    holed, cut, resumed = two
    out += session_differences(world, minor, holed, "lossy",
                               [[holed + 1, holed + 1, "hole"], [holed + 16, holed + 16, "hole"]])
    out += session_differences(world, minor, cut, "complete", [])
    out += session_differences(world, minor, resumed, "complete", [])
    out += session_differences(world, seldom, three[0], "complete", [])
    if not out:
        for pen, nums in logs:
            for num in nums:
                out += export_differences(pen, num)
    for num in one[:2] + two:
        pen = coarse if num in one else minor
        shown = world.ctl("show", wire.session_id(pen.log_id, num), "--json").stdout
        if shown and json.loads(shown)["started_at"] is not None:
            out.append(f"session {num} of {pen.serial}: a time, though nobody was there")
    out += time_differences(world, coarse, one[2])
    out += time_differences(world, seldom, three[0])
    return out


def run():
    logs = [scenes.coarse(), scenes.later_minor(), scenes.seldom()]
    with World([pen for pen, _ in logs]) as world:
        world.start_daemon()
        for pen, _ in logs:
            world.enroll(pen)
        settle(world, lambda: expected(world, logs), 45, "what is shown differs")
        shown = {pen["serial"]: pen for pen in world.ctl_json("pens")}
        for pen, _ in logs:
            one = shown[pen.serial]
            assert one["address"] == pen.address and one["firmware"] == pen.firmware, one
            assert one["battery"] == pen.battery and one["name"] == pen.name, one
            ends = [num for num, fact in pen.facts.items() if fact["kind"] == wire.END]
            assert pen.marked >= max(ends), f"{pen.serial}: {pen.marked} marked, not {ends}"
            assert not pen.refused, pen.refused
        assert shown["K-7"]["overwritten"] == 4000, shown["K-7"]
        assert world.stop("penteld") == 0, "penteld's end"


if __name__ == "__main__":
    main(run, 110)
