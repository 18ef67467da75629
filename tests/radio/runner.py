# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Boots guests and lets them run scenarios; see tests/radio/run.

A scenario is guest/scenarios/NAME.py: BOOT names the boot it shares with others, GUESTS
where it runs, LIMIT_S its time, ORDER its place in the boot. A boot that dies before the
guest's first marker is tried again and counted; a scenario never is.
"""
import argparse
import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import BOOT_LIMIT_S, Machine

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
CACHE = SOURCE / "build" / "radio"
DEBS = SOURCE / "build" / "debs"
SKIPPED = 77
TOTAL_LIMIT_S = 1200
N_BOOTS_TRIED = 3

# Guest -> its userland and its kernel. One command line of the runner runs them all.
GUESTS = {"13": ("13", "13"), "12": ("12", "13"), "12-6.1": ("12", "12")}
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


def step(what, argv, limit_s, log):
    """A part of the preparation; its output is kept and shown when it fails."""
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        try:
            status = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=out, timeout=limit_s).returncode
        except subprocess.TimeoutExpired:
            status = 124
    if status != 0:
        text = log.read_text(errors="replace").splitlines()[-30:]
        print("\n".join(f"    {line}" for line in text))
        print(f"{what}: exit {status}, the whole in {log}")
        sys.exit(SKIPPED if status == SKIPPED else 1)
    seconds = time.monotonic() - began
    if seconds > 2:
        print(f"...    {what} ({seconds:.0f} s)", flush=True)


def install_debs(release):
    """The base root with the project's packages installed by apt; made anew for new packages."""
    base, root = CACHE / f"root-{release}", CACHE / f"pentel-{release}"
    mark = root / "pentel-commit"
    commit = (DEBS / "commit").read_text()
    if mark.exists() and mark.read_text() == commit:
        return
    shutil.rmtree(root, ignore_errors=True)
    step(f"copy of root {release}", ["cp", "-a", base, root], 120, CACHE / "copy.log")
    debs = [path for path in DEBS.glob("*.deb") if "-dbgsym" not in path.name]
    (root / "debs").mkdir()
    for path in debs:
        shutil.copy(path, root / "debs")
    words = " ".join(f"/debs/{path.name}" for path in debs)
    step(f"packages into root {release}",
         ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "sh", "-c",
          f"apt-get install -y --no-install-recommends {words}"],
         300, CACHE / f"install-{release}.log")
    mark.write_text(commit)


def prepare(guests):
    step("packages", [HERE / "build-debs"], 900, CACHE / "debs.log")
    for release in sorted({r for guest in guests for r in GUESTS[guest]}, reverse=True):
        step(f"root of Debian {release}", [HERE / "build-root", release, CACHE], 1200,
             CACHE / f"root-{release}.log")
    for release in sorted({GUESTS[guest][0] for guest in guests}):
        kernels = {GUESTS[guest][1] for guest in guests if GUESTS[guest][0] == release}
        install_debs(release)
        for kernel in kernels:
            tree = CACHE / f"kernel-{kernel}" / "tree/lib/modules"
            for root in (CACHE / f"root-{release}", CACHE / f"pentel-{release}"):
                subprocess.run(["cp", "-a", f"{tree}/.", root / "usr/lib/modules/"], check=True)


def repack(deb, folder, version):
    """The same package as its next version, for upgrades."""
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, folder], check=True,
                       stdout=subprocess.DEVNULL)


def lay_share(share, group, debug):
    """What the guest sees at /radio."""
    shutil.rmtree(share, ignore_errors=True)
    (share / "out").mkdir(parents=True)
    shutil.copytree(HERE / "guest", share / "in")
    for name in ("harness.py", "compare.py"):
        shutil.copy(SOURCE / "tests/bus" / name, share / "in")
    shutil.copytree(DEBS, share / "debs")
    (share / "newer").mkdir()
    for deb in DEBS.glob("penteld_*.deb"):
        repack(deb, share / "newer", "99.0")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", share / "in/relay",
                    HERE / "relay.c"], check=True, timeout=60)
    plan = [{"name": s.name, "limit_s": s.limit_s} for s in group]
    (share / "in/plan.json").write_text(json.dumps({"scenarios": plan, "debug": debug}))


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.boots_lost = 0

    def add(self, guest, name, ok, seconds, text):
        self.passed += ok
        self.failed += not ok
        word = "ok    " if ok else "not ok"
        first, *more = (text or "").splitlines() or [""]
        print(f"{word} {guest} {name} ({seconds:.1f} s) {first}", flush=True)
        for line in more[-40:]:
            print(f"    {line}", flush=True)


def run_boot(guest, boot, group, report, deadline, debug):
    """One boot of a guest with its scenarios."""
    release, kernel = GUESTS[guest]
    share = CACHE / "run" / f"{guest}-{boot}"
    base = "root" if boot == "fresh" else "pentel"
    for attempt in range(1, N_BOOTS_TRIED + 1):
        lay_share(share, group, debug)
        # The guest's own limits stretch with its slowness and end first.
        limit_s = min(BOOT_LIMIT_S + 20 + sum(4 * s.limit_s + 5 for s in group),
                      deadline - time.monotonic())
        machine = Machine(CACHE / f"{base}-{release}", CACHE / f"kernel-{kernel}", share,
                          disk=any(s.disk for s in group))
        booted_s = machine.run(limit_s, lambda name, r: report.add(guest, name, r["ok"], r["seconds"], r["text"]))
        if booted_s is not None or time.monotonic() > deadline:
            break
        report.boots_lost += 1
        print(f"...    {guest} {boot}: boot {attempt} died, console in {share}/console.log", flush=True)
    if booted_s is not None:
        print(f"...    {guest} {boot}: up in {booted_s:.1f} s, over in {machine.seconds:.1f} s", flush=True)
    for s in group:
        if not (share / f"out/{s.name}.json").exists():
            report.add(guest, s.name, False, 0, f"never ended; see {share}")


def main():
    parser = argparse.ArgumentParser(prog="tests/radio/run")
    parser.add_argument("--guest", choices=GUESTS, action="append")
    parser.add_argument("--scenario", action="append", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--debug", action="store_true", help="penteld's debug log, and btmon's in out/")
    options = parser.parse_args()
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
    prepare(guests)
    report = Report()
    deadline = time.monotonic() + TOTAL_LIMIT_S
    for guest in guests:
        here = [s for s in wanted if guest in s.guests]
        for boot in dict.fromkeys(s.boot for s in here):
            run_boot(guest, boot, [s for s in here if s.boot == boot], report, deadline, options.debug)
    if report.boots_lost:
        print(f"{report.boots_lost} boots died before their first marker and were tried again")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed or not report.passed else 0


def on_signal(number, frame):
    """So that what was started is ended on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    os.chdir(SOURCE)
    signal.signal(signal.SIGTERM, on_signal)
    sys.exit(main())
