# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""An export is whole or not there, whatever happens to the daemon, the disk or itself."""

import csv
import json
import os
import signal
import subprocess
import time

import fake
from fake import Bench, check, same


def frames(n, size=50):
    return b"".join(bytes([size]) + bytes([i % 256]) * size for i in range(n))


def left_over(bench):
    known = {"scenario", "calls", "empty", "samples.jsonl", "records.pb", "old"}
    return sorted(entry.name for entry in bench.directory.iterdir() if entry.name not in known)


def raw_scenario(n):
    """Session 12..311 has 300 records; the fake sends @n of them."""
    groups = fake.scenario()
    groups[f"StreamSession {fake.ID}"] = {"file": "records.pb"}
    bench = Bench(groups)
    bench.file("records.pb", frames(n))
    return bench.start()


def formats():
    with Bench().start() as bench:
        lines = [json.loads(line) for line in bench.ok("export", fake.ID).splitlines()]
        same("kinds", {"session": 1, "sample": 3000},
             {kind: sum(line["kind"] == kind for line in lines) for kind in ("session", "sample")})
        same("first", {**bench.json("show", fake.ID), "kind": "session"}, lines[0])
        check(lines[1401]["depth_um"] == 1480 and lines[1401]["session"] == fake.ID, f"{lines[1401]}")
        rows = list(csv.DictReader(bench.ok("export", fake.ID, "-f", "csv-samples").splitlines()))
        same("sample", {"session": fake.ID, "tick_us": "33000000", "depth_um": "1480",
                        "time": "2026-11-24T14:00:28.000Z", "rate_hz": "116.7",
                        "load_permille": "420", "contact": "1"}, rows[1400])
        same("samples", 3000, len(rows))
        rows = list(csv.DictReader(bench.ok("export", fake.ID, "-f", "csv-passes").splitlines()))
        same("passes", ["1", "2", "3"], [row["index"] for row in rows])
        same("zone", 'forehead, "upper"', rows[2]["zone"])
        same("unknown", "", rows[2]["depth_median_um"])
        same("rate", "116.65", rows[1]["rate_hz"])


def ranges():
    with Bench().start() as bench:
        out = bench.directory / "out"
        bench.ok("export", "--since", "2026-11-01", "-f", "csv-passes", "-o", str(out))
        same("rows", 4, len(out.read_text().splitlines()))
        same("mode", 0o600, out.stat().st_mode & 0o777)
        done = bench.json("export", "--pen", "PT-0001", "-o", "out")
        same("result", {"file": "out", "sessions": 3, "bytes": out.stat().st_size}, done)
        call = [line for line in bench.calls() if line.startswith("ListSessions")][-1]
        check("'pen': <'PT-0001'>" in call, f"the filter is not sent: {call}")


def raw():
    with raw_scenario(300) as bench:
        bench.ok("export", fake.ID, "-f", "pb", "-o", "out")
        same("bytes", frames(300), (bench.directory / "out").read_bytes())
    with raw_scenario(299) as bench:
        text = bench.refused(1, "export", fake.ID, "-f", "pb", "-o", "out")
        check("ended early" in text, f"{text!r}")
        same("left over", [], left_over(bench))


def cut():
    """The daemon dies while it sends: at a line's end, inside a line, inside a message."""
    line = len(fake.samples(1))
    cases = {"at a line": ("jsonl", {"file": "samples.jsonl", "cut": "line"}),
             "in a line": ("csv-samples", {"file": "samples.jsonl", "cut": str(line * 100 + 7)}),
             "in a message": ("pb", {"file": "records.pb", "cut": "5000"})}
    for what, (form, stream) in cases.items():
        groups = fake.scenario()
        bench = Bench(groups)
        bench.file("records.pb", frames(300))
        if stream["cut"] == "line":
            text = fake.samples()
            stream["cut"] = str(sum(len(one) + 1 for one in text.splitlines()[:500]))
        groups[f"StreamSession {fake.ID}"] = stream
        bench.file("old", "what was there")
        with bench.start():
            bench.refused(1, "export", fake.ID, "-f", form, "-o", "old")
            same(f"{what}: the old file", "what was there", (bench.directory / "old").read_text())
            same(f"{what}: left over", [], left_over(bench))


def refused():
    with Bench().start() as bench:
        check("directory" in bench.refused(1, "export", fake.ID, "-o", "/tmp"), "a directory")
        bench.refused(1, "export", fake.ID, "-o", "/no/such/place")
        check("space" in bench.refused(1, "export", fake.ID, "-o", "/dev/full"), "a full disk")
        bench.refused(5, "export", "ffff", "-o", "out")
        check(os.path.exists("/dev/full"), "/dev/full was replaced")
        bench.ok("export", fake.ID, "-o", "/dev/null")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([fake.CTL, "sessions"], env=bench.env, stdout=full, timeout=30,
                                  stderr=subprocess.PIPE, text=True)
        check(done.returncode == 1 and done.stderr.count("\n") == 1, f"{done.stderr!r}")
        same("left over", [], left_over(bench))


def backup():
    """Whole, or an error with the reason and no file."""
    def member(name, data):
        head = name.encode().ljust(124, b"\0") + b"%011o\0" % len(data)
        return head.ljust(512, b"\0") + data.ljust((len(data) + 511) // 512 * 512, b"\0")
    archive = member("index.db", b"x" * 100000) + member("manifest", b"{}") + bytes(1024)
    groups = fake.scenario()
    groups["Backup"] = {"file": "records.pb"}
    with Bench(groups) as bench:
        bench.file("records.pb", archive)
        bench.start_fake()
        bench.ok("backup", "out")
        same("bytes", archive, (bench.directory / "out").read_bytes())
        check("space" in bench.refused(1, "backup", "/dev/full"), "a full disk")
        bench.file("records.pb", archive[:50000])
        check("ended early" in bench.refused(1, "backup", "cut"), "a cut copy")
        same("left over", ["out"], left_over(bench))


def signals():
    """Ended by a signal in mid-stream: no file, and the shell sees the signal."""
    groups = fake.scenario()
    groups[f"StreamSession {fake.ID}"] = {"file": "samples.jsonl", "line_ms": "5"}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Bench(dict(groups)).start() as bench:
            run = subprocess.Popen([fake.CTL, "export", fake.ID, "-o", "out"], env=bench.env,
                                   cwd=bench.directory, stderr=subprocess.PIPE)
            bench.wait(lambda: any(name.startswith(".out.") for name in left_over(bench)),
                       "the file to grow")
            time.sleep(0.2)
            run.send_signal(number)
            run.communicate(timeout=10)
            same("status", -number, run.returncode)
            same("left over", [], left_over(bench))


def reader_leaves():
    with Bench().start() as bench:
        for words in (["export", fake.ID], ["sessions", "--json"], ["watch", "--json"]):
            if words[0] == "watch":
                bench.change("FollowLive", file="samples.jsonl", hold="true")
            run = subprocess.Popen([fake.CTL, *words], env=bench.env, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
            run.stdout.read(10)
            run.stdout.close()
            text = run.stderr.read()
            run.stderr.close()
            same(f"{words}: status", 0, run.wait(10))
            same(f"{words}: said", b"", text)


def progress():
    """On a terminal, after a second, and taken away again."""
    groups = fake.scenario()
    groups[f"StreamSession {fake.ID}"] = {"file": "samples.jsonl", "line_ms": "1"}
    with Bench(groups).start() as bench:
        control, terminal = os.openpty()
        run = subprocess.Popen([fake.CTL, "export", fake.ID, "-o", "out"], env=bench.env,
                               cwd=bench.directory, stderr=terminal)
        os.close(terminal)
        same("status", 0, run.wait(60))
        seen = os.read(control, 65536).decode()
        os.close(control)
        check("sessions, " in seen and seen.endswith("\r\x1b[K"), f"{seen!r}")
        same("left over", ["out"], left_over(bench))


if __name__ == "__main__":
    fake.main([formats, ranges, raw, cut, refused, backup, signals, reader_leaves, progress])
