# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen as proto/pen-telemetry-service.md describes it, from that page alone.

Where the page leaves a choice, this pen takes an unusual one; `Habits` says which. It
keeps its log, answers the record access control point and sends; the link below it is
whatever has mtu, send(uuid, bytes) and drop().
"""

import random
import struct
import time
from dataclasses import dataclass, field

import wire
from wire import CLOCK, FEATURE, LIVE, RACP, STORED, number

U32 = 0xFFFFFFFF
EPOCH_2000_US = 946684800 * 1000000
REPORT, DELETE, ABORT, COUNT, COMBINED = 1, 2, 3, 4, 7
DATA_UUIDS = (FEATURE, LIVE, STORED, RACP, CLOCK)


class Att(Exception):
    """An ATT error with its code."""

    def __init__(self, code):
        super().__init__(f"ATT error 0x{code:02x}")
        self.code = code


@dataclass
class Habits:
    mtu: int = 185
    hz: int = 1000000             # 32768: ticks of 1/32768 s
    head_every_s: float = 30.0    # after the first at 2 s
    range_end_after_s: float = 0.0
    burst: int = 12               # segments sent at a time
    short_segments: bool = False  # segments smaller than the MTU allows
    optional_racp: bool = True    # the operators the page does not require
    extra_fields: bool = False    # fields of a later minor version
    early_frames: bool = False    # the first live frames overtake the subscription's reply
    one_bond: bool = False        # its operator ends pairing mode after the first bonding
    claims_battery: bool = True   # 0x180F shows as Battery1 only
    decoy: bool = False           # the standard characteristics also in another service
    resolved_first: bool = False  # ServicesResolved before the objects are there
    late_name: bool = False       # some advertisements hold no name
    lose_every: int = 0           # notifications that get lost on the gateway's side
    major: int = 1                # of the profile
    answer_s: float = 0.03        # how long a request takes
    stalls: int = 0               # reports that end in the middle of a record
    busy: int = 0                 # reports that are answered with 0x0A
    answer_first: bool = False    # an answer overtakes the reply to the write that asked


@dataclass
class Line:
    """What the pen keeps for one link."""

    link: object
    counters: dict = field(default_factory=lambda: {LIVE: 0, STORED: 0})
    subscribed: set = field(default_factory=set)
    queues: dict = field(default_factory=lambda: {LIVE: [], STORED: []})
    report: object = None
    last_live: float = 0.0
    n_heads: int = 0


class Report:
    """One running report."""

    def __init__(self, opcode, first, last, numbers):
        self.opcode, self.first, self.last = opcode, first, last
        self.numbers = iter(numbers)
        self.sent = 0
        self.end_at = None
        self.stalled = False


class Pen:
    def __init__(self, serial, address, log_id, boot, habits=None, *, name=None, boot_tick=0,
                 first_number=1, capacity=100000, firmware="9.0.1-rc", seed=1):
        self.serial, self.address, self.log_id, self.boot = serial, address, log_id, boot
        self.habits = habits or Habits()
        self.name = name or f"Pen {serial}"
        self.firmware, self.capacity = firmware, capacity
        self.random = random.Random(seed)
        self.began, self.boot_tick = time.monotonic(), boot_tick
        self.log, self.facts = {}, {}
        self.oldest = self.newest = 0
        self.next = first_number
        self.marked = 0
        self.overwritten = [first_number - 1, 1 if first_number > 1 else 0, first_number - 1]
        self.session = 0
        self.pairing, self.here = False, True
        self.bonds, self.line = set(), None
        self.clock_source = 0
        self.battery = 77
        self.seen = []            # what gateways did, for the tests
        self.refused = []         # what of it the page does not allow

    # The log.

    def tick(self):
        return self.boot_tick + int((time.monotonic() - self.began) * self.habits.hz)

    def append(self, kind, message, fact=None, tick=None, extra=b""):
        """One more record; fact is what it says, for the expected result."""
        num, self.next = self.next, self.next + 1
        tick = self.tick() if tick is None else tick
        if kind == wire.BEGIN:
            self.session = num
        if self.habits.extra_fields:
            extra += wire.blob(60, b"minor 7") + wire.fixed64(61, num)
        data = wire.record(self.log_id, num, self.session, self.boot, tick,
                           wire.body(kind, message, extra))
        self.log[num] = data
        self.facts[num] = dict(fact or {}, kind=kind, number=num, session=self.session,
                               boot=self.boot, tick=tick, hz=self.habits.hz)
        if kind == wire.END:
            self.session = 0
        self.newest, self.oldest = num, self.oldest or num
        self._make_room()
        self._live(data)
        if kind == wire.END:
            self._head()
        return num

    def _make_room(self):
        while len(self.log) > self.capacity:
            lost = self.oldest
            del self.log[lost]
            self.facts.pop(lost, None)
            self.oldest += 1
            if lost > self.marked:
                count, first, last = self.overwritten
                self.overwritten = [count + 1, first if last == lost - 1 and count else lost, lost]

    def puncture(self, num, cause=1):
        """The record can no longer be read: a hole from now on."""
        self.log[num] = cause
        self.facts.pop(num, None)

    def reset(self, boot, boot_tick=0):
        """The battery was out for a moment."""
        if self.line:
            self.line.link.drop()
        old = self.session
        self.boot, self.began, self.boot_tick = boot, time.monotonic(), boot_tick
        if old:
            self.append(wire.END, number(1, 3), {"cause": "reset"})
        return old

    def format(self, log_id):
        """The record memory is made anew."""
        if self.line:
            self.line.link.drop()
        self.log_id, self.log, self.facts = log_id, {}, {}
        self.oldest = self.newest = self.marked = self.session = 0
        self.next, self.overwritten = 1, [0, 0, 0]

    def item(self, kind, message):
        if self.habits.extra_fields:
            message += number(99, 1)
        return wire.record(self.log_id, 0, 0, self.boot, self.tick(), wire.body(kind, message))

    def free_permille(self):
        held = sum(1 for num in self.log if num > self.marked)
        return max(0, 1000 - held * 1000 // self.capacity)

    # Sending.

    def _queue(self, uuid, data):
        sizes = None
        if self.habits.short_segments:
            sizes = lambda index: 1 + (index * 7 + len(data)) % 40
        self.line.queues[uuid] += wire.segments(data, self.line.link.mtu, sizes)

    def _live(self, data):
        if self.line and LIVE in self.line.subscribed:
            self.line.last_live, self.line.n_heads = time.monotonic(), 0
            self._queue(LIVE, data)

    def _head(self):
        if self.line and LIVE in self.line.subscribed:
            message = (number(1, self.oldest) + number(2, self.newest) + number(3, self.marked)
                       + number(4, self.free_permille()) + number(5, self.overwritten[0]))
            self._queue(LIVE, self.item(wire.HEAD, message))

    def _send(self, uuid, n_segments):
        """Up to n segments of what waits; counts also what nobody hears."""
        line = self.line
        while n_segments and self.line is line and line.queues[uuid]:
            piece = line.queues[uuid].pop(0)
            count = line.counters[uuid]
            line.counters[uuid] = (count + 1) % 64
            line.link.send(uuid, bytes([piece[0] | count << 2]) + piece[1:])
            n_segments -= 1

    def poll(self):
        """Called every few milliseconds: what is due is sent, the two streams in turns."""
        if not self.line:
            return
        self._due_head()
        self._send(LIVE, self.habits.burst)
        if self.line and self.line.report and not self.line.queues[STORED]:
            self._advance(self.line.report)
        if self.line:
            self._send(STORED, self.habits.burst)

    def _due_head(self):
        line = self.line
        waited = 2.0 if not line.n_heads else self.habits.head_every_s
        if LIVE in line.subscribed and time.monotonic() - line.last_live >= waited:
            line.last_live, line.n_heads = time.monotonic(), line.n_heads + 1
            self._head()

    def _advance(self, report):
        now = time.monotonic()
        if report.stalled:
            return
        num = next(report.numbers, None)
        if num is not None:
            held = self.log.get(num)
            if held is None:
                return
            report.sent += 1
            self._queue(STORED, held if isinstance(held, bytes) else
                        self.item(wire.HOLE, number(1, num) + number(2, held)))
            if self.habits.stalls:
                self.habits.stalls -= 1
                report.stalled = True
                del self.line.queues[STORED][1:]
        elif report.end_at is None:
            report.end_at = now + self.habits.range_end_after_s
        elif now >= report.end_at:
            message = b"".join(number(i + 1, v) for i, v in enumerate(
                [report.first, report.last, report.sent, self.oldest, self.newest, self.marked]))
            self._queue(STORED, self.item(wire.RANGE_END, message))
            self._send(STORED, 1000)
            self.line.report = None
            if report.opcode == COMBINED and report.sent:
                self.answer(b"\x08\x00" + struct.pack("<I", report.sent))
            else:
                self.respond(report.opcode, 1 if report.sent else 6)

    def answer(self, data):
        if self.line:
            self.line.link.send(RACP, data)

    def respond(self, opcode, code):
        if code in (3, 5, 8, 9) or code in (2, 4) and self.habits.optional_racp:
            self.refused.append((code, opcode))
        self.answer(bytes([6, 0, opcode, code]))

    # What the link tells.

    def linked(self, link):
        self.line = Line(link)
        self.seen.append(("linked",))

    def unlinked(self):
        self.line = None

    def subscribe(self, uuid):
        self.line.subscribed.add(uuid)
        self.seen.append(("subscribed", uuid))
        if uuid == LIVE:
            self.line.last_live, self.line.n_heads = time.monotonic(), 0
            if self.habits.early_frames:
                self._head()
                self.poll()

    def unsubscribe(self, uuid):
        if self.line:
            self.line.subscribed.discard(uuid)
            if uuid in self.line.queues:
                self.line.queues[uuid].clear()
            if uuid == STORED and self.line.report:
                opcode, self.line.report = self.line.report.opcode, None
                self.respond(opcode, 8)

    def read(self, uuid):
        self.seen.append(("read", uuid))
        if uuid == FEATURE:
            return self._feature()
        if uuid == CLOCK:
            units = self.tick() * 10000 // self.habits.hz
            return (b"\x2d" + struct.pack("<Q", units)[:6]
                    + bytes([self.clock_source, 0, 0 if self.clock_source else 1, 0]))
        raise Att(0x02)

    def _feature(self):
        count, first, last = self.overwritten
        parts = [wire.blob(1, self.serial), wire.blob(2, self.firmware), wire.blob(3, "Indie"),
                 wire.fixed64(4, self.log_id), number(5, self.boot), number(6, self.oldest),
                 number(7, self.newest), number(8, self.marked), number(9, count),
                 number(10, first), number(11, last), number(12, self.habits.hz // 50),
                 number(13, 1000), number(14, self.capacity), number(15, self.free_permille()),
                 number(16, 0 if self.habits.hz == 1000000 else 1), number(17, self.tick())]
        if self.habits.extra_fields:
            parts.reverse()
            parts.insert(3, wire.blob(77, b"a field of minor 7"))
        return bytes([self.habits.major, 7 if self.habits.extra_fields else 0]) + b"".join(parts)

    def write(self, uuid, data):
        self.seen.append(("write", uuid, data))
        try:
            if uuid == CLOCK:
                self._set_clock(data)
            elif uuid == RACP:
                self._racp(data)
            else:
                raise Att(0x03)
        except Att as error:
            self.refused.append((str(error), uuid, data.hex()))
            raise

    def _set_clock(self, data):
        if len(data) != 9 or data[0] & 3 != 2:
            raise Att(0x81)
        unit_us = [1000000, 100000, 1000, 100][data[0] >> 2 & 3]
        wall_us = int.from_bytes(data[1:7], "little") * unit_us + EPOCH_2000_US
        if not 1 <= data[7] <= 6:
            raise Att(0x80)
        if not 1577836800000000 <= wall_us < 4133980800000000:
            raise Att(0xFF)
        self.clock_source = data[7]
        message = wire.number(1, wire.zigzag(wall_us)) + number(2, data[7])
        self.append(wire.CLOCK_SET, message, {"unix_us": wall_us})

    # The record access control point.

    def _racp(self, data):
        if not 2 <= len(data) <= 11:
            raise Att(0x0D)
        if RACP not in self.line.subscribed:
            raise Att(0xFD)
        opcode, operator, operand = data[0], data[1], data[2:]
        if self.line.report and opcode != ABORT:
            raise Att(0xFE)
        if opcode == ABORT:
            self._abort(operator, operand)
        elif opcode == DELETE:
            self._mark(operator, operand)
        elif opcode in (REPORT, COUNT) or opcode == COMBINED and self.habits.optional_racp:
            self._ask(opcode, operator, operand)
        else:
            self.respond(opcode, 2)

    def _abort(self, operator, operand):
        if operator != 0 or operand:
            return self.respond(ABORT, 5 if operator == 0 else 3)
        if not self.line.report:
            return self.respond(ABORT, 7)
        self.line.report = None
        self.line.queues[STORED].clear()
        self.respond(ABORT, 1)

    def _operand(self, opcode, operator, operand, known):
        """The numbers of a request, or None after it was refused, in the page's order."""
        size = {2: 5, 3: 5, 4: 9}.get(operator, 0)
        bounds = [int.from_bytes(operand[i:i + 4], "little") for i in range(1, len(operand), 4)]
        if not 1 <= operator <= 6:
            code = 3
        elif operator not in known:
            code = 4
        elif size and operand and operand[0] != 1:
            code = 9
        elif len(operand) != size or 0 in bounds or bounds != sorted(bounds):
            code = 5
        else:
            return bounds
        return self.respond(opcode, code)

    def _mark(self, operator, operand):
        bounds = self._operand(DELETE, operator, operand, (2,))
        if bounds is None:
            return
        if bounds[0] > self.newest:
            return self.respond(DELETE, 5)
        self.marked = max(self.marked, bounds[0])
        self.respond(DELETE, 1)

    def _ask(self, opcode, operator, operand):
        """Report, count or combined report."""
        few = (1,) if opcode == COUNT else (3, 4)
        known = range(1, 7) if self.habits.optional_racp else few
        bounds = self._operand(opcode, operator, operand, known)
        if bounds is None:
            return
        if opcode != COUNT and self.habits.busy:
            self.habits.busy -= 1
            return self.respond(opcode, 10)
        first, last = {1: (1, U32), 2: [1] + bounds, 3: bounds + [U32], 4: bounds,
                       5: (self.oldest, self.oldest), 6: (self.newest, self.newest)}[operator]
        within = range(max(first, self.oldest), min(last, self.newest) + 1) if self.newest else ()
        if opcode == COUNT:
            return self.answer(b"\x05\x00" + struct.pack("<I", len(within)))
        if STORED not in self.line.subscribed:
            return self.respond(opcode, 8)
        self.line.report = Report(opcode, first, last, within)
