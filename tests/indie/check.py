# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Sets what pentelctl shows beside what expect.py computed; every difference in words."""

import datetime
import time

import expect

DEPTHS = ("min", "median", "p95", "max")


def close(shown, exact, slack):
    """A shown whole number may be rounded either way, as no text says how."""
    return shown is not None and abs(shown - exact) < slack


def depth_differences(shown, exact):
    if exact is None or shown is None:
        return [] if exact is shown else [f"depth_um {shown}, not {exact}"]
    out = [f"depth_um.{key} {shown.get(key)}, not {exact[key]}"
           for key in DEPTHS if shown.get(key) != exact[key]]
    if not close(shown.get("mean"), exact["mean"], 1):
        out.append(f"depth_um.mean {shown.get('mean')}, not {float(exact['mean']):.2f}")
    return out


def summary_differences(shown, want, state, missing):
    out = [f"{key} {shown[key]}, not {want[key]}" for key in ("pen", "pass_count")
           if shown[key] != want[key]]
    out += [f"records.{key} {shown['records'][key]}, not {want[key]}"
            for key in ("log", "first", "last") if shown["records"][key] != want[key]]
    out += [f"{key} {shown[key]}, not {float(want[key]):.3f}"
            for key in ("contact_ms", "elapsed_ms") if not close(shown[key], want[key], 1)]
    if state and shown["state"] != state:
        out.append(f"state {shown['state']}, not {state}")
    # The cause may say more: hole:flash-error.
    gone = [[a, b, cause.split(":")[0]] for a, b, cause in shown["records"]["missing"]]
    if missing is not None and gone != missing:
        out.append(f"missing {shown['records']['missing']}, not {missing}")
    return out + depth_differences(shown["depth_um"], want["depth_um"])


def pass_differences(index, shown, want):
    out = [f"{key} {shown[key]}, not {float(want[key]):.3f}"
           for key in ("contact_ms", "elapsed_ms") if not close(shown[key], want[key], 1)]
    out += depth_differences(shown["depth_um"], want["depth_um"])
    rate = want["rate_hz"]
    if (rate is None) != (shown["rate_hz"] is None) or rate and not close(
            shown["rate_hz"], float(rate), 0.06):
        out.append(f"rate_hz {shown['rate_hz']}, not {rate and float(rate)}")
    if want["punctures"] and not close(shown["punctures_estimate"], want["punctures"], 1):
        out.append(f"punctures {shown['punctures_estimate']}, not {float(want['punctures']):.1f}")
    if not want["punctures"] and shown["punctures_estimate"] is not None:
        out.append(f"punctures {shown['punctures_estimate']}, not unknown")
    return [f"pass {index}: {text}" for text in out]


def shown_differences(shown, want):
    """What `show` has beyond the summary."""
    out = []
    passes = sorted(shown["passes"], key=lambda one: one["index"])
    if len(passes) != len(want["passes"]):
        return [f"{len(passes)} passes, not {len(want['passes'])}"]
    for index, (one, other) in enumerate(zip(passes, want["passes"])):
        out += pass_differences(index, one, other)
    settings = [one["depth_um"] for one in shown["settings"]]
    if settings != want["settings"]:
        out.append(f"settings {settings}, not {want['settings']}")
    carts = [(c["id"], c["lot"], c["expiry"] or "", c["needles"]) for c in shown["cartridges"]]
    if carts != [tuple(cart) for cart in want["cartridges"]]:
        out.append(f"cartridges {carts}, not {want['cartridges']}")
    faults = [(one["code"], one["text"]) for one in shown["faults"]]
    if faults != want["faults"]:
        out.append(f"faults {faults}, not {want['faults']}")
    if not str(shown["definition"]).startswith("pass/1"):
        out.append(f"definition {shown['definition']}")
    return out


def session_differences(world, pen, num, state=None, missing=None):
    want = world.do(expect.session, pen, num)
    listed = {one["id"]: one for one in world.ctl_json("sessions")}
    if want["id"] not in listed:
        return [f"session {num} of {pen.serial}: not listed"]
    shown = world.ctl_json("show", want["id"])
    out = [f"sessions: {text}" for text in
           summary_differences(listed[want["id"]], want, state, missing)]
    out += [f"show: {text}" for text in summary_differences(shown, want, state, missing)]
    out += [f"show: {text}" for text in shown_differences(shown, want)]
    return [f"session {num} of {pen.serial}: {text}" for text in out]


def wall_ms(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def time_differences(world, pen, num):
    """A session of the present boot is placed, and its error is no larger than it says."""
    want = world.do(expect.session, pen, num)
    begin = time.time() * 1000 - expect.ms(world.do(pen.tick) - want["begin_tick"], want["hz"])
    where = f"session {num} of {pen.serial}:"
    if want["id"] not in [one["id"] for one in world.ctl_json("sessions")]:
        return [f"{where} not listed"]
    shown = world.ctl_json("show", want["id"])
    if not shown["started_at"]:
        return [f"{where} no started_at"]
    off = abs(wall_ms(shown["started_at"]) - float(begin))
    if off > shown["time_error_ms"] + 5:
        return [f"{where} begun {off:.0f} ms off, though it says {shown['time_error_ms']}"]
    if shown["time_error_ms"] > 2000:
        return [f"{where} time_error_ms {shown['time_error_ms']}"]
    return []


def settle(world, differences, timeout, what):
    """Until there are none."""
    end = time.monotonic() + timeout
    while True:
        try:
            found = differences()
        except (KeyError, TypeError, IndexError) as error:
            found = [f"a shape that was not expected: {error!r}"]
        if not found:
            return
        if time.monotonic() > end:
            pens = world.ctl("pens", "--json").stdout
            raise AssertionError(f"{what}:\n  " + "\n  ".join(found[:40]) + f"\n{pens}")
        time.sleep(0.5)
