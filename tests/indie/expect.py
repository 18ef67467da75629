# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What a gateway must say of a pen's sessions, computed from the definition pass/1:

a run of needle contact; lifts shorter than 800 ms do not end it; runs whose contact is
under 300 ms in all do not count; a button marker ends it; time without a block is lifted.
Statistics of depth are over the samples taken in contact, each for its interval; the
strokes are those of the contact. Everything is computed in ticks with whole numbers.
"""

from fractions import Fraction

import wire

LIFT_MS, CONTACT_MS = 800, 300


def ms(ticks, hz):
    return Fraction(ticks * 1000, hz)


class Stats:
    """Depths with their weights."""

    def __init__(self):
        self.weights = {}

    def add(self, depth, ticks):
        if ticks:
            self.weights[depth] = self.weights.get(depth, 0) + ticks

    def merge(self, other):
        for depth, ticks in other.weights.items():
            self.add(depth, ticks)

    def rank(self, part):
        """The smallest depth that holds this part of the time."""
        total, seen = sum(self.weights.values()), 0
        for depth in sorted(self.weights):
            seen += self.weights[depth]
            if seen >= total * part:
                return depth

    def all(self):
        if not self.weights:
            return None
        total = sum(self.weights.values())
        mean = Fraction(sum(d * w for d, w in self.weights.items()), total)
        return {"min": min(self.weights), "median": self.rank(Fraction(1, 2)),
                "p95": self.rank(Fraction(95, 100)), "max": max(self.weights), "mean": mean}


class Pass:
    def __init__(self, hz):
        self.hz, self.spans = hz, []
        self.depth, self.rate = Stats(), Stats()
        self.punctures = Fraction(0)

    def contact(self):
        return sum(b - a for a, b in self.spans)

    def counts(self):
        return ms(self.contact(), self.hz) >= CONTACT_MS

    def shown(self):
        begin, end = self.spans[0][0], self.spans[-1][1]
        return {"begin_tick": begin, "elapsed_ms": ms(end - begin, self.hz),
                "contact_ms": ms(self.contact(), self.hz), "depth_um": self.depth.all(),
                "rate_hz": self.rate.weights and self.rate.all()["mean"] / 10 or None,
                "punctures": self.punctures}


class Fold:
    """One session's records, in order."""

    def __init__(self, facts):
        self.hz = facts[0]["hz"]
        self.passes, self.current = [], None
        self.needles = self.pass_needles = None
        self.last_tick = facts[0]["tick"]
        self.boot = facts[0]["boot"]
        for fact in facts:
            self.take(fact)
        self.close()

    def take(self, fact):
        if fact["boot"] == self.boot:
            self.last_tick = max(self.last_tick, fact["tick"])
        if fact["kind"] in (wire.BEGIN, wire.ATTACHED) and fact.get("cart"):
            self.needles = fact["cart"][3]
        elif fact["kind"] == wire.REMOVED:
            self.needles = None
        elif fact["kind"] == wire.BUTTON and fact["button"] == 1:
            self.close()
        elif fact["kind"] == wire.SAMPLES:
            self.block(fact)

    def close(self):
        if self.current and self.current.counts():
            self.passes.append(self.current)
        self.current = None

    def block(self, fact):
        at, interval = fact["tick"], fact["interval"]
        for index, ticks in enumerate(fact["runs"]):
            if index % 2 and ticks:
                self.contact(at, at + ticks)
                self.sampled(fact, at, at + ticks)
            at += ticks
        self.last_tick = max(self.last_tick, fact["tick"] + interval * len(fact["depths"]))

    def contact(self, begin, end):
        last = self.current.spans[-1] if self.current else None
        if last and ms(begin - last[1], self.hz) >= LIFT_MS:
            self.close()
            last = None
        if last and last[1] == begin:
            self.current.spans[-1] = (last[0], end)
        else:
            if not self.current:
                self.current = Pass(self.hz)
                self.pass_needles = self.needles
            self.current.spans.append((begin, end))

    def sampled(self, fact, begin, end):
        for i, depth in enumerate(fact["depths"]):
            start = fact["tick"] + i * fact["interval"]
            ticks = max(0, min(end, start + fact["interval"]) - max(begin, start))
            if begin <= start < end:
                self.current.depth.add(depth, fact["interval"])
                if fact["rates"]:
                    self.current.rate.add(fact["rates"][i], fact["interval"])
            if fact["rates"] and self.pass_needles:
                strokes = Fraction(fact["rates"][i] * ticks, 10 * self.hz)
                self.current.punctures += strokes * self.pass_needles


def session(pen, num):
    """What is to be seen of the session of that number, from what the pen still holds."""
    facts = [f for n, f in sorted(pen.facts.items()) if f["session"] == num]
    fold = Fold(facts)
    depth = Stats()
    for one in fold.passes:
        depth.merge(one.depth)
    ends = [f for f in facts if f["kind"] == wire.END]
    begins = [f for f in facts if f["kind"] == wire.BEGIN]
    return {
        "id": wire.session_id(pen.log_id, num), "pen": pen.serial,
        "log": f"{pen.log_id:016x}", "first": num, "last": facts[-1]["number"],
        "pass_count": len(fold.passes), "ended": bool(ends),
        "contact_ms": sum(ms(p.contact(), fold.hz) for p in fold.passes),
        "elapsed_ms": ms(fold.last_tick - facts[0]["tick"], fold.hz),
        "depth_um": depth.all(), "passes": [p.shown() for p in fold.passes],
        "settings": [f["setting_um"] for f in facts if f.get("setting_um") is not None],
        "cartridges": [f["cart"] for f in facts if f.get("cart")],
        "faults": [(f["code"], f["text"]) for f in facts if f["kind"] == wire.FAULT],
        "continues": begins[0].get("continues") if begins else None,
        "hz": fold.hz, "begin_tick": facts[0]["tick"], "boot": fold.boot,
    }
