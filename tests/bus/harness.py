# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A bench on a private bus: dbus-daemon, pensim, penteld, and pentelctl run against them.

Everything that is started is ended with the Rig, every wait is bounded, and a failure
shows what each program last said.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("PENTEL_BUILD", HERE.parent.parent / "build"))
SKIPPED = 77

# Exit codes of pentelctl.
(OK, FAILED, USAGE, NO_DAEMON, NO_PERMISSION, NOT_FOUND, NO_RADIO, TIMEOUT,
 NO_BLUEZ) = range(9)


class Failure(Exception):
    """What a test found wrong, in words."""


class Program:
    """A program in the background; its output goes to files."""

    def __init__(self, name, argv, env, directory):
        self.name = name
        self.out = directory / f"{name}.out"
        self.err = directory / f"{name}.err"
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.process = subprocess.Popen(
                [str(word) for word in argv], env=env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err)

    def is_running(self):
        return self.process.poll() is None

    def said(self, line):
        return line in self.out.read_text(errors="replace").splitlines()

    def send(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout=10.0):
        """End it; returns its exit status. One that does not go is killed and reported."""
        self.send(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10.0)
            return None

    def tail(self, n_lines=25):
        text = self.out.read_text(errors="replace") + self.err.read_text(errors="replace")
        lines = text.splitlines()[-n_lines:]
        return "\n".join(f"    {self.name}| {line}" for line in lines)


class Rig:
    """One private bus with what runs on it; a context manager."""

    def __init__(self, label="rig"):
        self.label = label
        self.directory = Path(tempfile.mkdtemp(prefix="pentel-bus-"))
        self.state = self.directory / "state"
        self.truth_file = self.directory / "truth.json"
        self.env = dict(os.environ, LC_ALL="C.UTF-8", NO_COLOR="1")
        self.programs = []
        self.sim = None
        self.daemon = None

    def __enter__(self):
        # Another user's pentelctl must get at the bus and at its own copy.
        self.directory.chmod(0o755)
        self.state.mkdir()
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = self._start_bus()
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.show_tails()
        for program in reversed(self.programs):
            program.stop(timeout=5.0)
        if os.environ.get("PENTEL_KEEP"):
            print(f"{self.label}: kept {self.directory}", flush=True)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def show_tails(self):
        text = "\n".join(p.tail() for p in self.programs if p.name != "bus")
        print(f"--- {self.label}\n{text}", flush=True)

    def _start(self, name, *argv):
        program = Program(name, argv, self.env, self.directory)
        self.programs.append(program)
        return program

    def _start_bus(self):
        config = f"--config-file={HERE / 'private.conf'}"
        bus = self._start("bus", "dbus-daemon", "--nofork", "--print-address", config)
        self.wait(lambda: bus.out.read_text().endswith("\n"), 10.0, "the bus to give its address")
        return bus.out.read_text().splitlines()[0]

    def wait(self, condition, timeout, what, every=0.05):
        """Until condition() is true; its value."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"{self.label}: waited {timeout:.0f} s for {what}")
            time.sleep(every)

    def start_sim(self, *options):
        """pensim, and polkit that says yes unless told otherwise."""
        given = " ".join(options)
        polkit = [] if "--polkit" in given else ["--polkit=yes"]
        self.sim = self._start("pensim", BUILD / "tests/sim/pensim", "--truth",
                               self.truth_file, "--verbose", *polkit, *options)
        self.wait(lambda: self.sim.said("READY") or not self.sim.is_running(), 10.0, "pensim")
        if not self.sim.is_running():
            raise Failure(f"{self.label}: pensim did not start")

    def start_daemon(self):
        self.daemon = self._start("penteld", BUILD / "daemon/penteld", "--state-dir", self.state)
        self.wait(lambda: self.owns("org.pentel") or not self.daemon.is_running(),
                  15.0, "penteld to own org.pentel")
        self.check_daemon()

    def check_daemon(self):
        if not self.daemon.is_running():
            status = self.daemon.process.returncode
            raise Failure(f"{self.label}: penteld ended with {status}")

    def kill_daemon(self):
        """As a power cut ends it."""
        self.check_daemon()
        self.daemon.stop(signal.SIGKILL)

    def stop_daemon(self):
        """As systemd ends it; fails unless it ends cleanly in time."""
        self.check_daemon()
        status = self.daemon.stop(signal.SIGTERM)
        if status != 0:
            raise Failure(f"{self.label}: penteld ended with {status} on SIGTERM")

    def busctl(self, *words, timeout=20.0):
        """A call on the private bus; its reply with the variants taken off."""
        reply = subprocess.run(["busctl", "--system", "--json=short", "call", *words],
                               env=self.env, capture_output=True, text=True, timeout=timeout)
        if reply.returncode != 0:
            raise Failure(f"{self.label}: busctl {words[-1]}: {reply.stderr.strip()}")
        return plain(json.loads(reply.stdout)["data"])

    def owns(self, name):
        return self.busctl("org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "NameHasOwner", "s", name)[0]

    def ctl(self, *words, timeout=60.0, user=None):
        """Run pentelctl; the finished process."""
        program = BUILD / "client/pentelctl"
        if user is not None:
            program = shutil.copy(program, self.directory / "pentelctl")
        try:
            return subprocess.run([str(program), *words], env=self.env, capture_output=True,
                                  text=True, timeout=timeout, user=user, cwd="/",
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.label}: pentelctl {' '.join(words)} took over {timeout:.0f} s")

    def ctl_ok(self, *words, timeout=60.0):
        """Run pentelctl, which must succeed; its output."""
        done = self.ctl(*words, timeout=timeout)
        if done.returncode != OK:
            raise Failure(f"{self.label}: pentelctl {' '.join(words)}: exit {done.returncode}: "
                          f"{done.stderr.strip()}")
        return done.stdout

    def ctl_json(self, *words):
        text = self.ctl_ok(*words, "--json")
        try:
            return json.loads(text)
        except ValueError as error:
            raise Failure(f"{self.label}: pentelctl {' '.join(words)} --json: {error}: {text[:200]!r}")

    def enroll(self, *pens, timeout=90.0):
        for pen in pens:
            self.ctl_ok("enroll", pen, timeout=timeout)

    def truth(self):
        return json.loads(self.truth_file.read_text())

    def wait_done(self, timeout):
        self.wait(lambda: self.sim.said("DONE"), timeout, "the treatments to end", every=0.2)
        return self.truth()


def plain(value):
    """busctl's {"type", "data"} of a variant gives way to the data."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"type", "data"} and isinstance(value["type"], str):
            return plain(value["data"])
        return {key: plain(item) for key, item in value.items()}
    return value


def in_parallel(jobs, run, n_workers=4):
    """run(job) for all; prints how each went, returns how many failed."""
    lock = threading.Lock()

    def one(job):
        started = time.monotonic()
        try:
            said = run(job)
            word, text = "ok", said or ""
        except Exception as error:  # a broken test is a failed one, the others go on
            known = isinstance(error, Failure)
            word, text = "FAILED", str(error) if known else f"{type(error).__name__}: {error}"
        with lock:
            print(f"{word} {job} ({time.monotonic() - started:.1f} s) {text}", flush=True)
        return word != "ok"

    with ThreadPoolExecutor(n_workers) as pool:
        return sum(pool.map(one, jobs))


def main(run, limit_s):
    """Run a whole test within a time limit and exit with its result."""
    def give_up(number, frame):
        raise Failure(f"not over in {limit_s} s" if number == signal.SIGALRM else "told to end")

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, give_up)
    signal.alarm(limit_s)
    for program in ("daemon/penteld", "client/pentelctl", "tests/sim/pensim"):
        if not (BUILD / program).exists():
            print(f"no {BUILD / program}: build first, or set PENTEL_BUILD")
            sys.exit(1)
    try:
        failed = run()
    except Failure as failure:
        print(f"FAILED {failure}")
        failed = 1
    sys.exit(failed if failed == SKIPPED else 1 if failed else 0)


def is_sanitized():
    """What penteld's memory is says nothing then."""
    return b"__asan_" in (BUILD / "daemon/penteld").read_bytes()


def seeded(seed):
    return random.Random(seed)
