# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The bytes on the air, written from proto/pen-telemetry-service.md and record.proto alone.

Nothing of the gateway or of pensim is used here: two readings of one text are compared.
Protobuf is coded by hand, so that a pen can also send what a generated encoder never
would but a reader has to take: fields out of order, unknown fields, packed fields in pieces.
"""

import hashlib
import struct
import uuid

FIRST, LAST = 1, 2
SERVICE = "52797f00-bc08-4935-9e95-12fdb4ca7483"
FEATURE = "52797f01-bc08-4935-9e95-12fdb4ca7483"
LIVE = "52797f02-bc08-4935-9e95-12fdb4ca7483"
STORED = "52797f03-bc08-4935-9e95-12fdb4ca7483"
RACP = "00002a52-0000-1000-8000-00805f9b34fb"
CLOCK = "00002bf2-0000-1000-8000-00805f9b34fb"
NAMESPACE = uuid.UUID("88637b66-0fea-4908-8d1d-a86388da43a9")

# Members of Body.kind.
(BEGIN, END, SAMPLES, ATTACHED, REMOVED, SETTING, BUTTON, FAULT, CLOCK_SET) = range(1, 10)
RANGE_END, HOLE, HEAD = 20, 21, 22


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return (value << 1) ^ (value >> 63)


def number(field, value, always=False):
    """A varint field; proto3 leaves a zero out unless it is told not to."""
    return varint(field << 3) + varint(value) if value or always else b""


def blob(field, value, always=False):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value if value or always else b""


def fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def deltas(values):
    """What sint32 delta fields hold: the first as it is, then the steps."""
    return [zigzag(b - a) for a, b in zip([0] + list(values), values)]


def packed(field, values, pieces=1):
    """A packed field, which a writer may also cut into several."""
    step = max(1, -(-len(values) // pieces))
    parts = [values[i:i + step] for i in range(0, len(values), step)]
    return b"".join(blob(field, b"".join(map(varint, part))) for part in parts)


def unpacked(field, values):
    return b"".join(number(field, value, always=True) for value in values)


def body(kind, message, extra=b""):
    return blob(kind, message, always=True) + extra


def cartridge(id, lot, expiry="", needles=None):
    last = b"" if needles is None else number(4, needles, always=True)
    return blob(1, id) + blob(2, lot) + blob(3, expiry) + last


def session_begin(firmware, cart=None, setting_um=None, continues=None):
    return ((b"" if continues is None else number(1, continues, always=True))
            + (b"" if cart is None else blob(2, cart, always=True))
            + (b"" if setting_um is None else number(3, setting_um, always=True))
            + blob(4, firmware))


def samples(interval, depths, runs, rates=(), loads=(), odd=False):
    """odd: another legal order and cut of the same fields."""
    if odd:
        return (packed(5, runs, pieces=2) + blob(33, b"later") + packed(4, deltas(loads))
                + number(1, interval) + packed(2, deltas(depths), pieces=3)
                + unpacked(3, deltas(rates)))
    return (number(1, interval) + packed(2, deltas(depths)) + packed(3, deltas(rates))
            + packed(4, deltas(loads)) + packed(5, runs))


_table = []
for _i in range(256):
    for _ in range(8):
        _i = _i >> 1 ^ (0x82F63B78 if _i & 1 else 0)
    _table.append(_i)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def record(log_id, num, session, boot, tick, body_bytes):
    head = struct.pack("<HIIIIQ", 28 + len(body_bytes), log_id & 0xFFFFFFFF, num, session,
                       boot, tick)[:24]
    data = head + body_bytes
    assert tick < 1 << 48 and 29 <= len(data) + 4 <= 1024, (num, tick, len(data))
    return data + struct.pack("<I", crc32c(data))


def segments(data, mtu, sizes=None):
    """The record's pieces with their first and last bits; sizes limits them further."""
    most, at, out = mtu - 4, 0, []
    while at < len(data):
        size = min(most, sizes(len(out)) if sizes else most)
        piece = data[at:at + size]
        at += size
        out.append((FIRST if not out else 0) | (LAST if at >= len(data) else 0))
        out[-1] = bytes([out[-1]]) + piece
    return out


def session_id(log_id, session):
    name = struct.pack(">QI", log_id, session)
    digest = hashlib.sha1(NAMESPACE.bytes + name).digest()[:16]
    return str(uuid.UUID(bytes=digest, version=5))


def fields(data):
    """(field, value) of a message, for tests that look at what a pen sent."""
    at, out = 0, []

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = take()
        if key & 7 == 0:
            out.append((key >> 3, take()))
        elif key & 7 == 2:
            size = take()
            out.append((key >> 3, data[at:at + size]))
            at += size
        else:
            size = {1: 8, 5: 4}[key & 7]
            out.append((key >> 3, int.from_bytes(data[at:at + size], "little")))
            at += size
    return out
