# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Boots guests and lets them run scenarios; see tests/radio/run.

A scenario is guest/scenarios/NAME.py: BOOT names the boot it shares with others, GUESTS
where it runs, LIMIT_S its time, ORDER its place in the boot. A boot that dies before the
guest's first marker is tried again and counted, and one whose kernel had an Oops for what did
not pass on it; a scenario never is. Two boots run at a time, as most of a scenario is waiting.
"""
import argparse
import ast
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time

from figures import Figures
from machine import BOOT_LIMIT_S, Machine
from prepare import CACHE, CHECKS, DEBS, GUESTS, HERE, SOURCE, prepare, repack

TOTAL_LIMIT_S = 2400
N_BOOTS_TRIED = 3
N_LANES = 2
DEFAULTS = {"GUESTS": ("13", "12"), "LIMIT_S": 60, "ORDER": 50, "DISK": False}


class Scenario:
    def __init__(self, path):
        tree = ast.parse(path.read_text())
        self.name = path.stem
        self.about = (ast.get_docstring(tree) or "").splitlines()[0]
        self.values = dict(DEFAULTS)
        for node in tree.body:
            if isinstance(node, ast.Assign) and node.targets[0].id.isupper():
                try:
                    self.values[node.targets[0].id] = ast.literal_eval(node.value)
                except ValueError:
                    continue

    def __getattr__(self, name):
        try:
            return self.values[name.upper()]
        except KeyError:
            raise AttributeError(name) from None


def scenarios():
    return sorted((Scenario(path) for path in (HERE / "guest/scenarios").glob("*.py")),
                  key=lambda s: (s.order, s.name))


def build_relay():
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", CACHE / "relay",
                    HERE / "relay.c"], check=True, timeout=60)


def lay_share(share, group, is_fresh, debug):
    """What the guest sees at /radio."""
    shutil.rmtree(share, ignore_errors=True)
    (share / "out").mkdir(parents=True)
    shutil.copytree(HERE / "guest", share / "in")
    for path in (SOURCE / "tests/bus/harness.py", SOURCE / "tests/bus/compare.py", SOURCE / "README.md",
                 CACHE / "relay"):
        shutil.copy(path, share / "in")
    shutil.copytree(DEBS, share / "debs")
    (share / "newer").mkdir()
    for deb in DEBS.glob("*.deb"):
        if "-dbgsym" not in deb.name:
            repack(deb, share / "newer", "99.0")
    if not is_fresh:
        (share / "in/penteld-debug.conf").write_text("[Service]\nEnvironment=G_MESSAGES_DEBUG=all\n")
    plan = [{"name": s.name, "limit_s": s.limit_s} for s in group]
    (share / "in/plan.json").write_text(json.dumps({"scenarios": plan, "debug": debug}))


class Report:
    """Counts and prints; both lanes speak to it."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.boots_lost = 0
        self.figures = Figures()
        self.lock = threading.Lock()

    def say(self, text):
        with self.lock:
            print(text, flush=True)

    def add(self, guest, name, ok, seconds, text):
        first, *more = (text or "").splitlines() or [""]
        lines = [f"{'ok    ' if ok else 'not ok'} {guest} {name} ({seconds:.1f} s) {first}"]
        with self.lock:
            self.passed += ok
            self.failed += not ok
            print("\n".join(lines + [f"    {line}" for line in more[-60:]]), flush=True)

    def add_result(self, guest, name, result):
        self.add(guest, name, result["ok"], result["seconds"], result["text"])
        with self.lock:
            self.figures.add(guest, name, result)

    def add_lost_boot(self):
        with self.lock:
            self.boots_lost += 1


class Boot:
    """One boot of a guest with its scenarios."""

    def __init__(self, guest, name, group):
        self.guest = guest
        self.name = name
        self.group = group
        self.share = CACHE / "run" / f"{guest}-{name}"
        self.machine = None
        self.ended = set()
        self.trouble = ""

    def weight(self):
        return sum(s.limit_s for s in self.group)

    def _attempt(self, report, deadline, debug):
        release, kernel = GUESTS[self.guest]
        is_fresh = self.name == "fresh"
        base = "root" if is_fresh else "pentel"
        lay_share(self.share, self.group, is_fresh, debug)
        # The guest's own limits stretch with its slowness and end first.
        limit_s = min(BOOT_LIMIT_S + 20 + sum(4 * s.limit_s + 5 for s in self.group), deadline - time.monotonic())
        self.machine = Machine(CACHE / f"{base}-{release}", CACHE / f"kernel-{kernel}", self.share,
                               disk=any(s.disk for s in self.group))
        return self.machine.run(limit_s, lambda name, result: self._take(report, name, result))

    def _is_kernel_dead(self):
        console = (self.share / "console.log").read_text(errors="replace")
        return "Oops" in console or "kernel BUG" in console

    def _take(self, report, name, result):
        """What fails on a kernel that had an Oops says nothing; what passes in spite of it does."""
        if result["ok"] or not self._is_kernel_dead():
            self.ended.add(name)
            report.add_result(self.guest, name, result)

    def _try(self, report, deadline, debug):
        """One boot; whether there is something left for another."""
        booted_s = self._attempt(report, deadline, debug)
        if booted_s is None:
            self.trouble = "died before its first marker"
            return True
        report.say(f"...    {self.guest} {self.name}: up in {booted_s:.1f} s, over in {self.machine.seconds:.1f} s; "
                   f"of the processor {self.machine.booted_cpu_s:.0f} s and {self.machine.cpu_s:.0f} s")
        self.trouble = "had an Oops of its kernel"
        return self._is_kernel_dead()

    def run(self, report, deadline, debug):
        for attempt in range(1, N_BOOTS_TRIED + 1):
            is_lost = self._try(report, deadline, debug)
            if is_lost:
                report.say(f"...    {self.guest} {self.name}: boot {attempt} {self.trouble}, "
                           f"console in {self.share}/console.log")
            left = [s for s in self.group if s.name not in self.ended]
            if not is_lost or not left or time.monotonic() > deadline or attempt == N_BOOTS_TRIED:
                break
            report.add_lost_boot()
            shutil.copy(self.share / "console.log", CACHE / f"run/{self.guest}-{self.name}-{attempt}.log")
            self.group = left
        for s in self.group:
            if s.name not in self.ended:
                report.add(self.guest, s.name, False, 0, f"never ended; see {self.share}")


def plan(guests, wanted):
    """The boots, the longest first, so that the lanes end together."""
    boots = []
    for guest in guests:
        here = [s for s in wanted if guest in s.guests]
        boots += [Boot(guest, name, [s for s in here if s.boot == name])
                  for name in dict.fromkeys(s.boot for s in here)]
    return sorted(boots, key=Boot.weight, reverse=True)


def run_boots(boots, n_lanes, report, debug):
    deadline = time.monotonic() + TOTAL_LIMIT_S
    waiting = queue.SimpleQueue()
    for boot in boots:
        waiting.put(boot)

    def lane():
        while True:
            try:
                boot = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                boot.run(report, deadline, debug)
            except Exception as error:  # of the runner itself, which must not pass for a good end
                report.add(boot.guest, boot.name, False, 0, f"{type(error).__name__}: {error}")
    # The machines end with this process, however it ends.
    lanes = [threading.Thread(target=lane, daemon=True) for _ in range(n_lanes)]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()


def check_packages(report):
    for name, check in CHECKS.items():
        began = time.monotonic()
        ok, text = check()
        report.add("packages", name, ok, time.monotonic() - began, text)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/radio/run")
    parser.add_argument("--guest", choices=GUESTS, action="append")
    parser.add_argument("--scenario", action="append", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--prepare", action="store_true", help="make what guests boot from, and end")
    parser.add_argument("--debug", action="store_true", help="D-Bus and HCI traces in out/")
    parser.add_argument("--lanes", type=int, default=N_LANES, metavar="N", help=f"boots at a time, {N_LANES}")
    return parser.parse_args()


def main():
    options = arguments()
    known = scenarios()
    if options.list:
        for s in known:
            print(f"{s.name:16} {s.boot:10} {','.join(s.guests):14} {s.about}")
        return 0
    unknown = set(options.scenario or []) - {s.name for s in known}
    if unknown:
        print(f"no scenario {', '.join(sorted(unknown))}; see --list")
        return 2
    guests = options.guest or list(GUESTS)
    wanted = [s for s in known if not options.scenario or s.name in options.scenario]
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run in this tree has not ended")
            return 1
        return run(options, guests, wanted)


def run(options, guests, wanted):
    prepare(guests)
    if options.prepare:
        return 0
    build_relay()
    report = Report()
    began = time.monotonic()
    if not options.scenario:
        check_packages(report)
    run_boots(plan(guests, wanted), max(1, options.lanes), report, options.debug)
    report.figures.show(CACHE)
    if report.boots_lost:
        print(f"{report.boots_lost} boots died and were tried again")
    print(f"all in {time.monotonic() - began:.0f} s, without what was prepared")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed or not report.passed else 0


def on_signal(number, frame):
    sys.exit(128 + number)


if __name__ == "__main__":
    os.chdir(SOURCE)
    signal.signal(signal.SIGTERM, on_signal)
    sys.exit(main())
