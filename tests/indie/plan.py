# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A treatment as an operator does it, cut into the records that a pen makes of it.

A plan is a list of steps in the order of their numbers: (ready, tick, kind, message, fact)
with ticks from the plan's begin; a step can be written once `ready` has passed. play()
writes a whole plan into a log at once, Live writes it as time passes.
"""

import time

import wire
from wire import number


class Plan:
    """hz and interval are the pen's; depth, rate and load are functions of the tick."""

    def __init__(self, hz, interval, n_block=10, *, depth=None, rate=None, load=None,
                 leave_out_lifted=False, odd=False):
        self.hz, self.interval, self.n_block = hz, interval, n_block
        self.depth, self.rate, self.load = depth, rate, load
        self.leave_out_lifted, self.odd = leave_out_lifted, odd
        self.tick, self.steps = 0, []

    def step(self, kind, message, **fact):
        self.steps.append((self.tick, self.tick, kind, message, fact))
        return self

    def begin(self, firmware="9.0.1-rc", cart=None, setting_um=None, continues=None):
        """cart: (id, lot, expiry, needles)."""
        message = wire.session_begin(firmware, cart and wire.cartridge(*cart), setting_um,
                                     continues)
        return self.step(wire.BEGIN, message, cart=cart, setting_um=setting_um,
                         continues=continues)

    def end(self, cause=1):
        return self.step(wire.END, number(1, cause))

    def button(self, which=1):
        return self.step(wire.BUTTON, number(1, which), button=which)

    def setting(self, um):
        return self.step(wire.SETTING, number(1, um), setting_um=um)

    def attach(self, *cart):
        return self.step(wire.ATTACHED, wire.cartridge(*cart), cart=cart)

    def remove(self, id):
        return self.step(wire.REMOVED, wire.blob(1, id))

    def fault(self, code, text):
        return self.step(wire.FAULT, number(1, code) + wire.blob(2, text), code=code, text=text)

    def unknown(self, kind=31):
        return self.step(kind, wire.blob(1, b"a body of a later minor version"))

    def wait(self, ticks):
        """Time without a block."""
        self.tick += ticks
        return self

    def treat(self, *runs):
        """runs: ticks, alternately lifted and in contact, beginning with lifted."""
        total = sum(runs)
        n_samples = -(-total // self.interval)
        spans, at = [], self.tick
        for index, ticks in enumerate(runs):
            if index % 2 and ticks and spans and spans[-1][1] == at:
                spans[-1] = (spans[-1][0], at + ticks)
            elif index % 2 and ticks:
                spans.append((at, at + ticks))
            at += ticks
        while n_samples:
            n = min(self.n_block, n_samples)
            self._block(n, spans)
            n_samples -= n
        return self

    def _block(self, n, spans):
        begin, end = self.tick, self.tick + n * self.interval
        runs, at = [], begin
        for a, b in spans:
            a, b = max(a, begin), min(b, end)
            if a < b:
                runs += [a - at, b - a]
                at = b
        if at < end or not runs:
            runs.append(end - at)
        self.tick = end
        if len(runs) == 1 and self.leave_out_lifted:
            return
        times = [begin + i * self.interval for i in range(n)]
        depths, rates, loads = ([int(f(t)) for t in times] if f else []
                                for f in (self.depth, self.rate, self.load))
        message = wire.samples(self.interval, depths, runs, rates, loads, self.odd)
        fact = {"interval": self.interval, "depths": depths, "rates": rates, "loads": loads,
                "runs": runs}
        self.steps.append((end, begin, wire.SAMPLES, message, fact))

    def n_steps(self):
        return len(self.steps)


def play(pen, plan, tick):
    """The whole plan into the pen's log, begun at tick; the session's number."""
    first = pen.next
    for _, at, kind, message, fact in plan.steps:
        pen.append(kind, message, fact, tick + at)
    return first


class Live:
    """A plan that happens now."""

    def __init__(self, pen, plan):
        self.pen, self.steps = pen, list(plan.steps)
        self.tick = pen.tick()
        self.boot = pen.boot
        self.session = None

    def poll(self):
        """Write what is due; False when it is over, or the pen was reset meanwhile."""
        while self.steps and self.boot == self.pen.boot:
            ready, at, kind, message, fact = self.steps[0]
            if self.tick + ready > self.pen.tick():
                return True
            self.steps.pop(0)
            written = self.pen.append(kind, message, fact, self.tick + at)
            self.session = self.session or written
        return False


def wait_until(condition, timeout, what, every=0.05):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:.0f} s for {what}")
        time.sleep(every)
