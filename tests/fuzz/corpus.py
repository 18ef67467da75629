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
    write_journal()
    write_arguments()
    write_args()
    write_racp(records)


def field(number, value):
    """A protobuf field: bytes, or a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def write_journal():
    head = field(1, 7) + field(2, b"5b7f8f1e-0000-4000-8000-000000000001") + field(3, 10**15)
    session = field(6, b"9e1b2c3d-0000-5000-8000-000000000002")
    entries = {
        "changed": field(10, field(1, b"complete") + field(2, b"pass/1") + field(3, bytes(32))),
        "annotation": field(11, field(1, b"ref 1") + field(3, b"") + field(5, 2)),
        "enrolled": field(12, field(1, b"PT-0001") + field(2, b"C0:00:00:00:00:01")),
        "forgotten": field(13, field(1, b"PT-0001") + field(2, 12)),
        "closed": field(14, field(1, b"lost")),
    }
    stream = b""
    for name, kind in entries.items():
        entry = head + session + kind
        write("journal", name, varint(len(entry)) + entry)
        stream += varint(len(entry)) + entry
    write("journal", "all", stream)
    write("journal", "cut", stream[:-9])
    write("journal", "erased", varint(len(head) + 2) + head + field(8, 1))


def dictionary(*pairs):
    """a{sv} of strings and numbers as GVariant has it, little endian."""
    entries, ends, out = [], [], b""
    for key, signature, value in pairs:
        variant = value + b"\0" + signature
        entry = key + b"\0"
        entry += bytes(-len(entry) % 8) + variant + bytes([len(key) + 1])
        entries.append(entry)
    for entry in entries:
        out += bytes(-len(out) % 8) + entry
        ends.append(len(out))
    size = 1 if len(out) + len(ends) < 256 else 2
    return out + b"".join(end.to_bytes(size, "little") for end in ends)


def write_arguments():
    text = dictionary((b"text", b"s", b"hello\0"))
    write("arguments", "text", b"\0" + text)
    write("arguments", "since", b"\0" + dictionary((b"since", b"x", struct.pack("<q", 10**15))))
    write("arguments", "two", b"\0" + dictionary((b"pen", b"s", b"PT-0001\0"),
                                                 (b"pass", b"u", struct.pack("<I", 2))))
    write("arguments", "unknown", b"\0" + dictionary((b"nobody", b"s", b"x\0")))
    write("arguments", "wrong-type", b"\0" + dictionary((b"pass", b"s", b"2\0")))
    write("arguments", "long", b"\0" + dictionary((b"text", b"s", b"x" * 1025 + b"\0")))
    write("arguments", "empty", b"\0")
    write("arguments", "id", b"\x019e1b2c3d-0000-5000-8000-000000000002")
    write("arguments", "cursor", b"\x01s12345")
    write("arguments", "state", b"\x01closed-by")


def write_args():
    lines = {
        "show": "show 9e1b", "sessions": "sessions --since yesterday --limit=20 --state lossy",
        "annotate": "annotate 9e1b --patient x --pass 2 --zone cheek", "letters": "-h sessions -n 5",
        "plain": "show -- --json", "near": "sesions", "no-value": "sessions --limit",
        "times": "sessions --since 2026-01-31T10:00:00Z --until 2026-02-30", "escape": "\033[2J \xff",
    }
    for name, line in lines.items():
        words = line.encode("latin-1").split(b" ")
        write("args", name, b"".join(word + b"\0" for word in words))


def write_racp(records):
    def steps(*parts):
        return b"".join(bytes([kind, len(data)]) + data for kind, data in parts)
    done, marked = b"\x06\0\x01\x01", b"\x06\0\x02\x01"
    window = struct.pack("<HH", 0, 63)
    write("racp", "report", steps((3, b""), (5, window), (0, done), (1, b""), (2, b"")))
    write("racp", "early", steps((0, done), (3, b""), (2, b""), (1, b"")))
    write("racp", "mark", steps((3, b""), (0, done), (2, b""), (1, b""), (6, b"x" * 20), (3, b""),
                                (0, marked)))
    write("racp", "busy", steps((3, b""), (0, b"\x06\0\x01\x0a"), (6, b"")))
    write("racp", "unsubscribed", steps((3, b"\xfd"), (3, b""), (0, done)))
    write("racp", "running", steps((3, b"\xfe"), (3, b""), (0, b"\x06\0\x03\x01"), (2, b"")))
    bad = bytearray(records["button"])
    bad[2:6], bad[6:10] = struct.pack("<I", 0x55667788), struct.pack("<I", 7)
    write("racp", "damaged", steps(*[(4, bytes(bad))] * 3))


if __name__ == "__main__":
    main()
