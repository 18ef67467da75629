# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A private bus with a fake penteld, and pentel-sync run against them.

Everything that is started ends with the Bench, every wait is bounded.
"""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import fake  # noqa: E402

BUILD = Path(os.environ.get("PENTEL_BUILD", HERE.parent.parent / "build"))
SYNC = BUILD / "client/sync/pentel-sync"
CTL = BUILD / "client/pentelctl"
BUS_CONFIG = HERE.parent / "bus/private.conf"
SKIPPED = 77

# Exit codes of pentel-sync.
OK, FAILED, USAGE, WAITING, FOREIGN, STATE, CONFIG = 0, 1, 2, 75, 76, 77, 78


class Failure(Exception):
    """What a test found wrong, in words."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def same(what, wanted, found):
    if wanted != found:
        raise Failure(f"{what}: wanted {wanted!r}, found {found!r}")


class Bench:
    """A context manager."""

    def __init__(self, label):
        self.label = label
        self.directory = Path(tempfile.mkdtemp(prefix="pentel-sync-test-"))
        self.programs = []
        self.pentelds = []
        self.env = dict(os.environ, LC_ALL="C.UTF-8", NO_COLOR="1")

    def __enter__(self):
        self.directory.chmod(0o755)
        self.address = self.start_bus("bus")
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = self.address
        return self

    def __exit__(self, kind, error, trace):
        for penteld in self.pentelds:
            penteld.stop()
        for program in reversed(self.programs):
            self.end(program, signal.SIGKILL)
        if kind is not None:
            for path in sorted(self.directory.glob("[!b]*.err")):
                print(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}", flush=True)
        if os.environ.get("PENTEL_KEEP"):
            print(f"kept {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, name, *argv, env=None):
        with open(self.directory / f"{name}.out", "ab") as out, \
                open(self.directory / f"{name}.err", "ab") as err:
            program = subprocess.Popen([str(word) for word in argv], env=env or self.env,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.programs.append(program)
        return program

    def end(self, program, number=signal.SIGTERM, timeout=15.0):
        if program.poll() is None:
            program.send_signal(number)
        try:
            return program.wait(timeout)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(10)
            return None

    def start_bus(self, name):
        self.spawn(name, "dbus-daemon", "--nofork", "--print-address", f"--config-file={BUS_CONFIG}")
        out = self.directory / f"{name}.out"
        self.wait(lambda: out.read_text().endswith("\n"), 10, "the bus to give its address")
        return out.read_text().splitlines()[0]

    def penteld(self, address=None, **more):
        penteld = fake.Penteld(address or self.address, **more).start()
        self.pentelds.append(penteld)
        return penteld

    def wait(self, condition, timeout, what, every=0.05):
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"{self.label}: waited {timeout} s for {what}")
            time.sleep(every)

    def configure(self, name, text):
        (self.directory / f"{name}.conf").write_text(text)

    def state(self, name):
        return self.directory / "state" / name

    def argv(self, name, *words):
        return [str(SYNC), f"--config={self.directory / name}.conf",
                f"--state-dir={self.state(name)}", *map(str, words), name]

    def run(self, name, *words, timeout=60, env=None, code=None):
        """pentel-sync to its end; checks the exit code unless it is None."""
        done = subprocess.run(self.argv(name, *words), env=env or self.env, capture_output=True,
                              text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise Failure(f"{self.label}: {words}: exit {done.returncode}, not {code}: "
                          f"{done.stderr.strip()!r} {done.stdout.strip()!r}")
        return done

    def once(self, name, code=OK, **more):
        return self.run(name, "--once", code=code, **more)

    def ctl(self, *words, code=0, user=None):
        """pentelctl to its end; checks the exit code, and that a failure is told in one line."""
        program = CTL
        if user is not None:
            program = self.directory / "pentelctl"
            if not program.exists():
                program.write_bytes(CTL.read_bytes())
                program.chmod(0o755)
        done = subprocess.run([str(program), *map(str, words)], env=self.env, capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL, user=user, cwd="/")
        if done.returncode != code:
            raise Failure(f"{words}: exit {done.returncode}, not {code}: {done.stderr!r} {done.stdout!r}")
        check(code == 0 or len(done.stderr.splitlines()) == 1, f"{words}: not one line: {done.stderr!r}")
        return done

    def hurry(self, name):
        """As if every back-off were over; nothing may run."""
        with contextlib.closing(sqlite3.connect(self.state(name) / "state.db", timeout=10)) as db, db:
            db.execute("update pending set next_us = 1 where next_us > 1")

    def service(self, name, env=None):
        return self.spawn(name, *self.argv(name), env=env)

    def errors(self, name):
        return (self.directory / f"{name}.err").read_text(errors="replace")

    def call(self, name, method, *words):
        """A method of Sync1; its reply, or raises with the bus's words."""
        done = subprocess.run(
            ["busctl", "--system", "--json=short", "call", f"org.pentel.Sync.{name}",
             "/org/pentel/sync", "org.pentel.Sync1", method, *words],
            env=self.env, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failure(f"{self.label}: {method}: {done.stderr.strip()}")
        return plain(json.loads(done.stdout)["data"])

    def status(self, name):
        return self.call(name, "Status")[0]

    def caught_up(self, name, penteld, timeout=60):
        """Everything in the journal is delivered, and nothing is amiss."""
        def is_well():
            status = self.try_status(name)
            return (status.get("scanned") == len(penteld.entries) and status["waiting"] == 0 and
                    not status["working"] and "last_error" not in status)
        self.wait(is_well, timeout, f"{name} to catch up")

    def try_status(self, name):
        try:
            return self.status(name)
        except Failure:
            return {}


def plain(value):
    """busctl's {"type", "data"} of a variant gives way to the data."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"type", "data"} and isinstance(value["type"], str):
            return plain(value["data"])
        return {key: plain(item) for key, item in value.items()}
    return value


def expect_line(bench, done, code, *words):
    """Ended by itself, with this code and one line that has all these words."""
    lines = done.stderr.strip().splitlines()
    if done.returncode != code:
        raise Failure(f"exit {done.returncode}, not {code}: {done.stderr!r}")
    if len(lines) != 1 or not lines[0].startswith("pentel-sync: "):
        raise Failure(f"not one line: {done.stderr!r}")
    for word in words:
        if word not in lines[0]:
            raise Failure(f"no {word!r} in {lines[0]!r}")


def main(tests, limit_s):
    """Run (label, function of a Bench) one after another; TAP."""
    def give_up(number, frame):
        raise Failure("out of time" if number == signal.SIGALRM else "told to end")

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, give_up)
    signal.alarm(limit_s)
    only = sys.argv[1:]
    chosen = [test for test in tests if not only or test.__name__ in only]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for i, test in enumerate(chosen):
        began = time.monotonic()
        words, word = "", "ok"
        try:
            with Bench(test.__name__) as bench:
                words = test(bench) or ""
        except Exception as error:  # a broken test is a failed one, the others go on
            word = "not ok"
            failed += 1
            known = isinstance(error, Failure)
            words = str(error) if known else f"{type(error).__name__}: {error}"
            if not known:
                import traceback
                traceback.print_exc()
        print(f"{word} {i + 1} - {test.__name__} ({time.monotonic() - began:.1f} s) {words}",
              flush=True)
    signal.alarm(0)
    sys.exit(1 if failed else 0)
