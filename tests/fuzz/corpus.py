#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Makes the fuzzers' first inputs from tests/vectors: corpus.py, in tests/fuzz.

What fuzzing finds beside them is added by hand, under a name that says what it is.
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent


def vectors():
    for line in (HERE.parent / "vectors/vectors.txt").read_text().splitlines():
        kind, name, *rest = line.split()
        yield kind, name, [bytes.fromhex(word) for word in rest if kind != "session-id"]


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def notifications(parts):
    return b"".join(bytes([len(part)]) + part for part in parts)


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def step(body, number=0, tick=17, boot=0):
    return bytes([number, tick, boot]) + struct.pack("<H", len(body)) + body


def block(interval, runs):
    """Contact runs over one sample of 1000 um at 100 Hz."""
    content = b"\x08" + varint(interval) + b"\x12\x02\xd0\x0f\x1a\x02\xd0\x0f"
    tail = b"".join(varint(run) for run in runs)
    content += b"\x2a" + bytes([len(tail)]) + tail
    return b"\x1a" + bytes([len(content)]) + content


def main():
    records = {}
    for kind, name, parts in vectors():
        if kind == "record":
            records[name] = parts[0]
            write("body", name, parts[0][24:-4])
        elif kind == "segments":
            write("stream", f"mtu-{name}", notifications(parts))
        elif kind == "feature":
            write("feature", name, parts[0])
            write("feature", f"{name}-cut", parts[0][:-3])
    write("feature", "major-2", b"\x02\x00")
    mtu23 = [p for k, n, p in vectors() if (k, n) == ("segments", "23")][0]
    write("stream", "one-lost", notifications(mtu23[:2] + mtu23[3:]))
    write("stream", "swapped", notifications([mtu23[0], mtu23[2], mtu23[1], mtu23[3]]))
    write("stream", "all-records", notifications(
        bytes([3 | i % 64 << 2]) + rec for i, rec in enumerate(records.values()) if len(rec) < 254))
    write("stream", "no-last", notifications(
        bytes([(i == 0) | i % 64 << 2]) + b"\xff" * 200 for i in range(6)))
    body = {name: rec[24:-4] for name, rec in records.items()}
    second = 1000000
    treat = step(body["session-begin"]) + b"".join(
        step(block(2 * second, [0, second, second]), tick=21) for _ in range(4))
    end = step(body["session-end"], boot=255)
    write("fold", "passes", b"\0" + treat + step(body["button"]) + treat + end)
    write("fold", "slow-ticks", b"\1" + treat + end)
    write("fold", "hole", b"\0" + treat + step(block(second, [0, second]), number=2, tick=21) + end)
    write("fold", "edge-of-lift", b"\0" + treat[:0] + step(body["session-begin"]) + step(
        block(1400000, [0, 300000, 800000, 300000]), tick=20) + end)
    write("fold", "every-body", b"\0" + b"".join(step(b) for b in body.values()))
    write("fold", "overlap", b"\0" + step(block(second, [0, second]), tick=5) * 3)


if __name__ == "__main__":
    main()
