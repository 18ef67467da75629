# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Compares what the gateway shows with what the pens did.

Every difference is one line: where, what the truth says, what the gateway says. An
empty list means equal.
"""

import re
import time

from harness import Failure

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
SESSION_KEYS = ("id", "pen", "started_at", "ended_at", "time_error_ms", "elapsed_ms",
                "contact_ms", "pass_count", "depth_um", "state", "records", "zones")


def ms(us):
    """Microseconds in milliseconds, rounded half up."""
    return (us + 500) // 1000


def ranges_of(numbers):
    """Sorted numbers as [first, last] ranges."""
    ranges = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] + 1 == number:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def lost_numbers(pen, session):
    """What nobody can have of a session: holes of the flash."""
    return {n for n in pen["holes"] if session["first"] <= n <= session["last"]}


class Diff:
    """Collects differences below a path."""

    def __init__(self, lines, where):
        self.lines = lines
        self.where = where

    def say(self, what):
        self.lines.append(f"{self.where}: {what}")

    def same(self, name, truth, shown):
        if truth != shown:
            self.say(f"{name}: truth {truth!r}, gateway {shown!r}")

    def at(self, name):
        return Diff(self.lines, f"{self.where} {name}")


def compare_records(pen, session, shown, diff):
    records = shown.get("records") or {}
    diff.same("records.log", pen["log_id"], records.get("log"))
    diff.same("records.first", session["first"], records.get("first"))
    diff.same("records.last", session["last"], records.get("last"))
    lost = ranges_of(lost_numbers(pen, session))
    merged = set()
    for first, last, *_ in records.get("missing") or []:
        merged.update(range(first, last + 1))
    diff.same("records.missing", lost, ranges_of(merged))
    state = "lossy" if lost else "complete"
    diff.same("state", state if session["ended"] else "live", shown.get("state"))


def compare_summary(pen, session, shown, diff):
    """The fields that a list of sessions has."""
    compare_records(pen, session, shown, diff)
    diff.same("pen", pen["serial"], shown.get("pen"))
    if lost_numbers(pen, session):
        return  # what is derived from a part is the fold's own test
    diff.same("pass_count", session["pass_count"], shown.get("pass_count"))
    diff.same("contact_ms", ms(session["contact_us"]), shown.get("contact_ms"))
    diff.same("elapsed_ms", ms(session["elapsed_us"]), shown.get("elapsed_ms"))
    diff.same("depth_um", session["depth_um"], shown.get("depth_um"))
    for name in ("started_at", "ended_at"):
        value = shown.get(name)
        if value is not None and not TIME.match(value):
            diff.say(f"{name}: not a time: {value!r}")


def compare_pass(real, shown, diff):
    diff.same("elapsed_ms", ms(real["elapsed_us"]), shown.get("elapsed_ms"))
    diff.same("contact_ms", ms(real["contact_us"]), shown.get("contact_ms"))
    diff.same("depth_um", real["depth_um"], shown.get("depth_um"))
    diff.same("punctures_estimate", real["punctures"], shown.get("punctures_estimate"))
    rate_hz = shown.get("rate_hz")
    if rate_hz is None or abs(rate_hz - real["rate_mhz"] / 1000) > 1e-6:
        diff.say(f"rate_hz: truth {real['rate_mhz'] / 1000}, gateway {rate_hz!r}")
    if shown.get("incomplete"):
        diff.say("incomplete, though nothing is missing")


def pick(items, *keys):
    return [tuple(item.get(key) for key in keys) for item in items or []]


def compare_details(pen, session, shown, diff):
    """The fields that one session has beyond the list's."""
    if lost_numbers(pen, session):
        return
    passes = shown.get("passes") or []
    diff.same("number of passes", len(session["passes"]), len(passes))
    base = passes[0].get("index") if passes else 0
    for real, one in zip(session["passes"], passes):
        below = diff.at(f"pass {real['index']}")
        below.same("index", real["index"] + base, one.get("index"))
        compare_pass(real, one, below)
    diff.same("settings", pick(session["settings"], "depth_um"),
              pick(shown.get("settings"), "depth_um"))
    keys = ("id", "lot", "expiry", "needles")
    diff.same("cartridges", pick(session["cartridges"], *keys),
              pick(shown.get("cartridges"), *keys))
    diff.same("faults", pick(session["faults"], "code"), pick(shown.get("faults"), "code"))
    if not str(shown.get("definition")).startswith("pass/1"):
        diff.say(f"definition: {shown.get('definition')!r}")


def compare_shape(shown, diff):
    """pentelctl's JSON has every key; unknown is null."""
    for key in SESSION_KEYS:
        if key not in shown:
            diff.say(f"no key {key!r}")


def compare_list(truth, shown, pens=None, shape=True):
    """All sessions of a list. pens: only these serials' (None: all)."""
    lines = []
    by_id = {}
    for one in shown:
        if one.get("id") in by_id:
            lines.append(f"session {one.get('id')} is listed twice")
        by_id[one.get("id")] = one
    for pen in truth["pens"]:
        if pens is not None and pen["serial"] not in pens:
            continue
        for session in pen["sessions"]:
            diff = Diff(lines, f"{pen['serial']} session {session['number']} {session['id'][:8]}")
            one = by_id.pop(session["id"], None)
            if one is None:
                diff.say("not there")
                continue
            if shape:
                compare_shape(one, diff)
            compare_summary(pen, session, one, diff)
    for identity, one in by_id.items():
        if pens is None or one.get("pen") in pens:
            lines.append(f"session {identity} of {one.get('pen')} never happened")
    return lines


def compare_all(rig, truth, pens=None):
    """List and every session in full, as pentelctl shows them."""
    lines = compare_list(truth, rig.ctl_json("sessions"), pens)
    if lines:
        return lines
    for pen in truth["pens"]:
        if pens is not None and pen["serial"] not in pens:
            continue
        for session in pen["sessions"]:
            diff = Diff(lines, f"{pen['serial']} show {session['number']} {session['id'][:8]}")
            one = rig.ctl_json("show", session["id"])
            diff.same("id", session["id"], one.get("id"))
            compare_shape(one, diff)
            compare_summary(pen, session, one, diff)
            compare_details(pen, session, one, diff)
    return lines


def list_on_bus(rig):
    """Sessions by the bus alone, page by page."""
    sessions = []
    cursor = ""
    for _ in range(1000):
        page, cursor = rig.busctl("org.pentel", "/org/pentel/manager", "org.pentel.Log1",
                                  "ListSessions", "a{sv}su", "0", cursor, "2")
        sessions += page
        if not cursor:
            return sessions
    raise Failure(f"{rig.label}: ListSessions never ends")


def settle(rig, compare, timeout, what):
    """Until compare() finds nothing; else all that it found last."""
    end = time.monotonic() + timeout
    while True:
        rig.check_daemon()
        lines = compare()
        if not lines:
            return
        if time.monotonic() > end:
            more = f"\n  and {len(lines) - 12} more" if len(lines) > 12 else ""
            text = "".join(f"\n  {line}" for line in lines[:12])
            raise Failure(f"{rig.label}: {what}, after {timeout:.0f} s:{text}{more}")
        time.sleep(0.3)
