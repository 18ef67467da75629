#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""An encoder of the pen's side, written from proto/pen-telemetry-service.md and
record.proto alone. It shares no code with the daemon or the simulator, and uses no
protobuf library: what it prints are the committed vectors.

    encoder.py > vectors.txt
"""
import hashlib
import struct
import uuid

LOG_ID = 0x1122334455667788
NAMESPACE = uuid.UUID("88637b66-0fea-4908-8d1d-a86388da43a9")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field_varint(number, value):
    return varint(number << 3) + varint(value) if value else b""


def field_present(number, value):
    return varint(number << 3) + varint(value)


def field_bytes(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def field_text(number, value):
    return field_bytes(number, value.encode()) if value else b""


def packed(number, values):
    return field_bytes(number, b"".join(varint(v) for v in values)) if values else b""


def zigzag(n):
    return n * 2 if n >= 0 else -n * 2 - 1


def deltas(values):
    return [zigzag(b - a) for a, b in zip([0] + values[:-1], values)]


def body(kind, message):
    return field_bytes(kind, message)


def cartridge(ident, lot, expiry, needles=None):
    tail = field_present(4, needles) if needles is not None else b""
    return field_text(1, ident) + field_text(2, lot) + field_text(3, expiry) + tail


def samples(interval, depth, rate, load, runs):
    return (field_varint(1, interval) + packed(2, deltas(depth)) + packed(3, deltas(rate))
            + packed(4, deltas(load)) + packed(5, runs))


def record(number, session, boot, tick, content, log_id=LOG_ID):
    head = struct.pack("<IIII", log_id & 0xFFFFFFFF, number, session, boot)
    rest = head + struct.pack("<Q", tick)[:6] + content
    whole = struct.pack("<H", len(rest) + 6) + rest
    return whole + struct.pack("<I", crc32c(whole))


def segments(rec, mtu, counter=0):
    size = mtu - 4
    parts = [rec[i:i + size] for i in range(0, len(rec), size)]
    out = []
    for i, part in enumerate(parts):
        flags = (i == 0) | (i == len(parts) - 1) << 1
        out.append(bytes([flags | (counter + i) % 64 << 2]) + part)
    return out


def feature(**f):
    message = (field_text(1, f["serial"]) + field_text(2, f["firmware"])
               + field_text(3, f["model"]) + varint(4 << 3 | 1) + struct.pack("<Q", LOG_ID)
               + b"".join(field_varint(n, f.get(k, 0)) for n, k in [
                   (5, "boot"), (6, "oldest"), (7, "newest"), (8, "marked"),
                   (9, "overwritten_unmarked"), (10, "overwritten_first"),
                   (11, "overwritten_last"), (12, "sample_interval_ticks"),
                   (13, "strokes_per_rev_permille"), (14, "capacity_records"),
                   (15, "free_permille"), (16, "tick_unit"), (17, "tick_now")]))
    return b"\x01\x00" + message


def range_end(*values):
    return b"".join(field_varint(i + 1, v) for i, v in enumerate(values))


def clock_write(unix_s, source):
    """UTC time of day in 100 us since 2000."""
    return bytes([0x0E]) + struct.pack("<Q", (unix_s - 946684800) * 10000)[:6] + bytes([source, 0])


def clock_read(tick_us, source):
    value = struct.pack("<Q", tick_us // 100)[:6]
    return b"\x2d" + value + bytes([source, 0, 0 if source else 1, 0])


def session_uuid(log_id, session):
    name = struct.pack(">QI", log_id, session)
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + name).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def vectors():
    cart = cartridge("CART-0001", "L2026-07", "2028-01-31", 14)
    begin = field_bytes(2, cart) + field_present(3, 1500) + field_text(4, "1.4.2")
    block = samples(20000, [1500, 1510, 1490, 1500, 1500], [1166] * 5, [300, 310, 305, 300, 300],
                    [12345, 80000, 7655])
    yield "session-begin", record(7, 7, 3, 1000000, body(1, begin))
    yield "samples", record(8, 7, 3, 1200000, body(3, block))
    yield "samples-no-rate", record(9, 7, 3, 1300000, body(3, samples(20000, [0], [], [], [20000])))
    yield "cartridge-attached", record(10, 7, 3, 1400000, body(4, cartridge("C2", "", "")))
    yield "cartridge-removed", record(11, 7, 3, 1500000, body(5, field_text(1, "C2")))
    yield "depth-setting", record(12, 7, 3, 1600000, body(6, field_varint(1, 750)))
    yield "button", record(13, 7, 3, 1700000, body(7, field_varint(1, 1)))
    yield "fault", record(14, 7, 3, 1800000, body(8, field_varint(1, 42) + field_text(2, "motor stalled")))
    yield "clock-set", record(15, 0, 3, 2000000, body(9, field_varint(1, zigzag(1780000000000000)) + field_varint(2, 1)))
    yield "session-end", record(16, 7, 4, 500, body(2, field_varint(1, 3)))
    yield "session-begin-continues", record(17, 17, 4, 1500, body(1, field_present(1, 7)))
    yield "range-end", record(0, 0, 4, 2000, body(20, range_end(7, 16, 10, 1, 17, 0)))
    yield "hole", record(0, 0, 4, 2001, body(21, field_varint(1, 5) + field_varint(2, 1)))
    yield "head", record(0, 0, 4, 2002, body(22, b"".join(
        field_varint(i + 1, v) for i, v in enumerate([1, 17, 0, 900, 0]))))
    yield "unknown-body", record(18, 17, 4, 3000, body(99, b"\x08\x01"))
    for name, first, last, sent in [
            ("all", 1, 2**32 - 1, 17), ("le", 1, 9, 9), ("ge", 12, 2**32 - 1, 6),
            ("range", 7, 16, 10), ("first", 1, 1, 1), ("last", 17, 17, 1)]:
        yield f"range-end-{name}", record(0, 0, 4, 2003, body(20, range_end(
            first, last, sent, 1, 17, 6)))
    yield "range-end-nothing-found", record(0, 0, 4, 2004, body(20, range_end(20, 30, 0, 1, 17, 6)))
    for name, first, last in [("all", 1, 2**32 - 1), ("first", 0, 0), ("last", 0, 0)]:
        yield f"range-end-empty-{name}", record(0, 0, 1, 700, body(20, range_end(
            first, last, 0, 0, 0, 0)))
    yield "head-empty", record(0, 0, 1, 701, body(22, field_varint(4, 1000)))
    yield "hole-torn", record(0, 0, 4, 2005, body(21, field_varint(1, 2**32 - 1) + field_varint(2, 2)))
    yield "cartridge-attached-needles", record(20, 17, 4, 4000, body(4, cartridge(
        "CART-0002", "L2026-08", "2028-02-29", 0)))
    yield "cartridge-removed-unknown", record(21, 17, 4, 4100, body(5, b""))
    yield "depth-setting-zero", record(22, 17, 4, 4200, body(6, b""))
    yield "button-other", record(23, 17, 4, 4300, body(7, field_varint(1, 2)))
    yield "fault-utf8", record(24, 17, 4, 4400, body(8, field_varint(1, 2**32 - 1) + field_text(2, "61 °C")))
    yield "clock-set-before-1970", record(25, 17, 4, 4500, body(
        9, field_varint(1, zigzag(-1)) + field_varint(2, 4)))
    yield "samples-lifted", record(26, 17, 4, 5000, body(3, samples(20000, [700] * 3, [], [], [60000])))
    yield "samples-contact", record(27, 17, 4, 65000, body(3, samples(
        20000, [700] * 3, [1000] * 3, [], [0, 60000])))
    yield "samples-32768", record(28, 17, 4, 65536, body(3, samples(
        655, [0, 4095, 0], [0, 10000, 0], [0, 2000, 0], [1, 1963, 1])))
    yield "samples-most", record(29, 17, 4, 70000, body(3, samples(
        1, [4095] * 256, [10000] * 256, [2000] * 256, [0] + [1] * 62 + [194])))
    yield "session-end-battery", record(30, 17, 4, 80000, body(2, field_varint(1, 4)))
    yield "tick-max", record(19, 17, 4, 2**48 - 1, body(7, field_varint(1, 1)))


def main():
    print("crc32c", "123456789".encode().hex(), f"{crc32c(b'123456789'):08x}")
    for name, rec in vectors():
        print("record", name, rec.hex())
    rec = dict(vectors())["samples"]
    for mtu in (23, 64, 247):
        print("segments", mtu, " ".join(s.hex() for s in segments(rec, mtu, 62)))
    print("feature", "plain", feature(
        serial="PT-0001", firmware="1.4.2", model="Pen One", boot=3, oldest=1, newest=17,
        marked=6, sample_interval_ticks=20000, strokes_per_rev_permille=1000,
        capacity_records=100000, free_permille=900, tick_now=2000000).hex())
    print("feature", "empty-32768", feature(
        serial="a.Z_9-", firmware="", model="", boot=1, sample_interval_ticks=655,
        strokes_per_rev_permille=1000, capacity_records=4096, free_permille=1000, tick_unit=1,
        tick_now=2**48 - 1).hex())
    print("clock-read", "never-set", clock_read(12345678, 0).hex())
    print("clock-read", "by-ntp", clock_read(2**47, 1).hex())
    print("clock-write", "ntp", clock_write(1780000000, 1).hex())
    for session in (1, 7, 4294967295):
        print("session-id", f"{LOG_ID:016x}", session, session_uuid(LOG_ID, session))


if __name__ == "__main__":
    main()
