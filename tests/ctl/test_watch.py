# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The live view on a terminal: it draws, follows a resize and a restart of penteld, and
gives the terminal back however it is ended."""

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import fake
from fake import Bench, check, same


def live(n, pens=("PT-0001",), start_ms=1000):
    lines = []
    for i in range(n):
        for pen in pens:
            lines.append(json.dumps({
                "pen": pen, "session": fake.ID, "number": i, "tick_us": (start_ms + i * 20) * 1000,
                "depth_um": 750, "rate_dhz": 1167, "load_permille": 420, "contact": True},
                separators=(",", ":")))
    return "".join(line + "\n" for line in lines)


class Terminal:
    """pentelctl on a terminal of its own, and what of the screen it has drawn."""

    def __init__(self, bench, *words, rows=24, columns=80):
        self.control, self.end = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.end)
        self.text = ""
        self.run = subprocess.Popen([fake.CTL, *words], env=bench.env, stdin=self.end,
                                    stdout=self.end, stderr=subprocess.PIPE, text=True,
                                    start_new_session=True)

    def resize(self, rows, columns):
        fcntl.ioctl(self.control, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "run"):
            self.run.send_signal(signal.SIGWINCH)

    def read(self, seconds):
        end = time.monotonic() + seconds
        got = ""
        while time.monotonic() < end:
            if select.select([self.control], [], [], 0.05)[0]:
                got += os.read(self.control, 65536).decode(errors="replace")
        self.text += got
        return got

    def wait(self, pattern, seconds=10.0):
        """The first frame that has the pattern."""
        end = time.monotonic() + seconds
        rest = ""
        while time.monotonic() < end:
            rest += self.read(0.1)
            for frame in rest.split("\x1b[H"):
                if re.search(pattern, frame) and "\x1b[J" in frame:
                    return frame.split("\x1b[J")[0]
        raise fake.Failure(f"no frame with {pattern!r}; last seen: {rest[-600:]!r}")

    def finish(self):
        """Exit status, what was on standard error, and whether the terminal is as before."""
        stop = time.monotonic() + 10
        while self.run.poll() is None and time.monotonic() < stop:
            self.read(0.05)
        status = self.run.wait(1)
        self.read(0.1)
        error = self.run.stderr.read()
        self.run.stderr.close()
        after = termios.tcgetattr(self.end)
        check(after == self.before, "the terminal is not as it was")
        check(self.text.rstrip().endswith("\x1b[?25h\x1b[?1049l"),
              f"the screen is not given back: {self.text[-60:]!r}")
        os.close(self.control)
        os.close(self.end)
        return status, error


def lines_of(frame):
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame)
    return re.split(r"\r+\n", plain)


def with_live(text, **more):
    groups = fake.scenario()
    groups["FollowLive"] = {"file": "live.jsonl", "hold": "true", **more}
    bench = Bench(groups)
    bench.file("live.jsonl", text)
    return bench.start()


def draws():
    with with_live(live(300)) as bench:
        terminal = Terminal(bench, "watch")
        frame = terminal.wait(r"PT-0001 +live")
        lines = lines_of(frame)
        check(len(lines) <= 24, f"{len(lines)} lines on 24 rows")
        check(any("PT-0001" in line and "live" in line and "83 %" in line for line in lines),
              f"no head: {lines}")
        check(any("116.7 Hz" in line and "42 %" in line for line in lines), f"no numbers: {lines}")
        terminal.resize(10, 40)
        frame = terminal.wait(r"touching 0\.75 mm")
        end = time.monotonic() + 5
        while max(map(len, lines_of(frame))) >= 40 or len(lines_of(frame)) > 10:
            check(time.monotonic() < end, f"does not follow the size: {lines_of(frame)}")
            frame = terminal.wait(r"PT-0001")
        os.write(terminal.control, b"q")
        same("ended by q", (0, ""), terminal.finish())


def rate():
    """However fast samples come: at most ten frames a second, and some."""
    with with_live(live(4000), line_ms="1") as bench:
        terminal = Terminal(bench, "watch")
        terminal.wait(r"depth 0\.75 mm")
        frames = terminal.read(2.0).count("\x1b[J")
        check(5 <= frames <= 21, f"{frames} frames in 2 s")
        terminal.run.send_signal(signal.SIGINT)
        same("ended by SIGINT", (0, ""), terminal.finish())


def restart():
    with with_live(live(50)) as bench:
        terminal = Terminal(bench, "watch")
        terminal.wait(r"depth 0\.75 mm")
        bench.stop_fake(signal.SIGKILL)
        frame = terminal.wait("waiting for penteld")
        check("touching" not in frame, "a pen is still said to touch")
        bench.file("live.jsonl", live(50, start_ms=60000).replace("750", "990"))
        bench.start_fake()
        frame = terminal.wait(r"depth 0\.99 mm")
        check("waiting" not in frame, "still said to be waiting")
        terminal.run.send_signal(signal.SIGTERM)
        same("ended by SIGTERM", (0, ""), terminal.finish())


def pens_change():
    with with_live(live(50)) as bench:
        terminal = Terminal(bench, "watch")
        terminal.wait(r"PT-0002 +needs-enrol")
        bench.groups["ListPens"] = {"reply": f"({fake.PENS.replace('needs-enrol', 'connecting')},)"}
        bench.write_scenario()
        bench.fake.send_signal(signal.SIGHUP)
        terminal.wait(r"PT-0002 +connecting")
        terminal.run.send_signal(signal.SIGHUP)
        same("ended by SIGHUP", (0, ""), terminal.finish())


def bus_goes():
    with with_live(live(50)) as bench:
        terminal = Terminal(bench, "watch")
        terminal.wait(r"depth 0\.75 mm")
        bench.bus.kill()
        status, error = terminal.finish()
        check(status == 3 and error.count("\n") == 1, f"exit {status}: {error!r}")


def json_lines():
    """Lines as they come, over a restart; nothing that is not JSON."""
    with with_live(live(20) + "not json\n" + '{"pen":"PT-0001","event":"end"}\n') as bench:
        run = subprocess.Popen([fake.CTL, "watch", "PT-0001"], env=bench.env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = [json.loads(run.stdout.readline()) for _ in range(21)]
        same("last", {"pen": "PT-0001", "event": "end"}, first[-1])
        check("FollowLive('PT-0001',)" in bench.calls(), f"which pen is not said: {bench.calls()}")
        bench.stop_fake(signal.SIGKILL)
        bench.file("live.jsonl", '{"pen":"PT-0001","event":"begin"}\n')
        bench.start_fake()
        line = run.stdout.readline()
        while '"begin"' not in line:
            check(line.startswith("{"), f"not JSON: {line!r}")
            line = run.stdout.readline()
        run.send_signal(signal.SIGTERM)
        run.stdout.close()
        same("said", "", run.stderr.read())
        run.stderr.close()
        same("status", 0, run.wait(10))


def dumb():
    """A terminal that cannot move its cursor gets lines."""
    with with_live(live(5)) as bench:
        bench.env["TERM"] = "dumb"
        terminal = Terminal(bench, "watch")
        end = time.monotonic() + 5
        while terminal.text.count('{"pen":"PT-0001"') < 5:
            check(time.monotonic() < end, f"no lines: {terminal.text!r}")
            terminal.read(0.1)
        check("\x1b" not in terminal.text, "an escape sequence on a dumb terminal")
        terminal.run.send_signal(signal.SIGTERM)
        terminal.run.wait(10)
        terminal.run.stderr.close()
        os.close(terminal.control)
        os.close(terminal.end)


def colours():
    """Colour on a terminal, none with NO_COLOR; the chart in braille there."""
    with Bench().start() as bench:
        for no_colour in ("", "1"):
            bench.env["NO_COLOR"] = no_colour
            terminal = Terminal(bench, "show", fake.ID, columns=100)
            terminal.run.wait(10)
            text = terminal.read(0.3)
            check(("\x1b[" in text) == (no_colour == ""), f"NO_COLOR={no_colour!r}: {text[:80]!r}")
            check(any("\u2800" <= c <= "\u28ff" for c in text), "no braille on a terminal")
            widest = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.split("\r\n"))
            check(90 < widest <= 100, f"not as wide as the terminal: {widest}")
            terminal.run.stderr.close()
            os.close(terminal.control)
            os.close(terminal.end)


if __name__ == "__main__":
    fake.main([draws, rate, restart, pens_change, bus_goes, json_lines, dumb, colours])
