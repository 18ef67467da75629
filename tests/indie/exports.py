# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What `pentelctl export` writes of a session, beside what the pen holds: the records to
the byte, the samples one by one."""

import json
import subprocess

import wire
from world import PENTELCTL


def messages(data):
    """Length-delimited messages."""
    while data:
        size = shift = at = 0
        while True:
            byte = data[at]
            size |= (byte & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not byte & 0x80:
                break
        yield dict(wire.fields(data[at:at + size]))
        data = data[at + size:]


def samples(facts):
    for fact in facts:
        at, spans = fact["tick"], []
        for index, ticks in enumerate(fact["runs"]):
            if index % 2:
                spans.append((at, at + ticks))
            at += ticks
        for i, depth in enumerate(fact["depths"]):
            tick = fact["tick"] + i * fact["interval"]
            yield {"tick_us": tick * 1000000 // fact["hz"], "depth_um": depth,
                   "rate_dhz": fact["rates"][i] if fact["rates"] else None,
                   "load_permille": fact["loads"][i] if fact["loads"] else None,
                   "contact": any(a <= tick < b for a, b in spans)}


def export(id, form):
    done = subprocess.run([str(PENTELCTL), "export", id, "--format", form], capture_output=True,
                          timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"export --format {form}: {done.stderr.decode()}"
    return done.stdout


def export_differences(pen, num):
    id = wire.session_id(pen.log_id, num)
    facts = [f for _, f in sorted(pen.facts.items()) if f["session"] == num]
    shown = [(m[1], m[2]) for m in messages(export(id, "pb"))]
    held = [(pen.log_id, pen.log[fact["number"]]) for fact in facts]
    out = [] if shown == held else [f"export pb: {len(shown)} records, not the {len(held)} held"]
    lines = [json.loads(line) for line in export(id, "jsonl").splitlines()]
    shown = [line for line in lines if line["kind"] == "sample"]
    want = list(samples(f for f in facts if f["kind"] == wire.SAMPLES))
    if len(shown) != len(want):
        out.append(f"export jsonl: {len(shown)} samples, not {len(want)}")
    for one, other in zip(shown, want):
        wrong = [key for key in other if one[key] != other[key]
                 and not (key == "tick_us" and one[key] == other[key] + 1)]
        if wrong:
            out.append(f"export jsonl: {wrong[0]} {one[wrong[0]]}, not {other[wrong[0]]}")
            break
    return [f"session {num} of {pen.serial}: {text}" for text in out]
