# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Clients out of their minds while pens treat: every call is answered rightly, memory and
descriptors stay bounded, others are served, and nothing of the treatments is missing."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import harness
from compare import compare_all, settle

NOBODY = 65534
SERIALS = ["PT-0001", "PT-0002"]
XML = harness.HERE.parent.parent / "proto/dbus/org.pentel.xml"
REFUSAL = r"org\.pentel\.Error\.\w+|org\.freedesktop\.DBus\.Error\.InvalidArgs"
# What a caller without any right may hear.
FOREIGN = r"org\.pentel\.Error\.NotAuthorized|org\.freedesktop\.DBus\.Error\.InvalidArgs"
MEMORY_KIB = 96 * 1024  # beyond what it had when the pens were enrolled
DELAY_MS = 15000        # for another client meanwhile, on a busy machine
N_CLIENTS = 1000


class Abuse:
    def __init__(self, rig):
        self.rig = rig
        self.copy = Path(shutil.copy(harness.HERE / "abuser.py", rig.directory / "abuser.py"))
        self.xml = shutil.copy(XML, rig.directory / "org.pentel.xml")
        self.worst_ms = self.grown = 0
        self.processes = []

    def start(self, kind, seed=1, n=1, user=None):
        process = subprocess.Popen(
            [sys.executable, str(self.copy), kind, str(seed), str(n), self.xml],
            env=self.rig.env, user=user, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def finish(self, what, process, timeout, allowed):
        """Its answers; all of them must be allowed. Others are asked meanwhile."""
        end = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < end:
            self.look()
        if process.poll() is None:
            process.kill()
            raise harness.Failure(f"{what}: not over in {timeout} s")
        out, err = process.communicate()
        if process.returncode != 0 or not out:
            raise harness.Failure(f"{what}: exit {process.returncode}: {err[-400:]}")
        said = json.loads(out)
        print(f"{what}: grown by {self.grown} KiB, delays {self.worst_ms} ms for others, "
              f"{said['worst_ms']} ms for them: {said['counts']}", flush=True)
        return self.judge(what, said, allowed)

    def judge(self, what, said, allowed):
        for name, n in said["counts"].items():
            if n > 0 and not re.fullmatch(allowed, name):
                raise harness.Failure(f"{what}: {n} x {name}: {said['counts']}")
        return said["counts"]

    def look(self):
        """Somebody decent: an answer in time, and penteld not grown out of bounds."""
        began = time.monotonic()
        self.rig.busctl("org.pentel", "/org/pentel/manager", "org.pentel.Manager1", "Health")
        self.worst_ms = max(self.worst_ms, int(1000 * (time.monotonic() - began)))
        if self.worst_ms > DELAY_MS:
            raise harness.Failure(f"Health took {self.worst_ms} ms")
        self.check_memory()
        time.sleep(0.1)

    def measure(self):
        status = Path(f"/proc/{self.rig.daemon.process.pid}/status").read_text()
        self.kib = int(re.search(r"VmRSS:\s+(\d+)", status)[1])
        self.n_pipes = self.count_pipes()

    def count_pipes(self):
        """Only these: links come and go, and each worker keeps its connection to the index."""
        paths = Path(f"/proc/{self.rig.daemon.process.pid}/fd").iterdir()
        return sum(os.readlink(path).startswith("pipe:") for path in paths if path.is_symlink())

    def check_memory(self):
        self.rig.check_daemon()
        status = Path(f"/proc/{self.rig.daemon.process.pid}/status").read_text()
        grown = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) - self.kib
        self.grown = max(self.grown, grown)
        if grown > MEMORY_KIB and not harness.is_sanitized():
            raise harness.Failure(f"penteld grew by {grown} KiB")

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()


def run_abuse(rig, abuse):
    holder = abuse.start("hold")
    line = holder.stdout.readline()
    held = abuse.judge("hold", json.loads(line), rf"reply|{REFUSAL}|unanswered")
    if held.get("reply") != 4 or not held.get("org.pentel.Error.Busy"):
        raise harness.Failure(f"one user got other than 4 pipes: {held}")
    said = abuse.finish("random", abuse.start("random", 1, 1500), 120, rf"reply|{REFUSAL}")
    if len(said) < 4 or said.get("reply", 0) < 50:
        raise harness.Failure(f"random calls reached too little: {said}")
    # Polkit's answer is no, so nothing of another user's calls may come through.
    foreign = abuse.finish("foreign", abuse.start("random", 2, 800, NOBODY), 120, FOREIGN)
    if not foreign.get("org.pentel.Error.NotAuthorized"):
        raise harness.Failure(f"another user was not refused: {foreign}")
    abuse.finish("vanish", abuse.start("vanish", 3, 200), 60, "vanished")
    for _ in range(2):
        many = abuse.finish("thousand", abuse.start("thousand", 4, N_CLIENTS), 90, "reply")
        if many["reply"] != 2 * N_CLIENTS:
            raise harness.Failure(f"of {2 * N_CLIENTS} calls some were not answered: {many}")
    holder.terminate()
    return said


def run():
    if os.getuid() != 0:
        print("skipped: needs root, to be somebody else")
        return harness.SKIPPED
    with harness.Rig("abuse") as rig:
        rig.start_sim("--pens=2", "--sessions=3", "--passes=3", "--pairing=-1", "--speed=2",
                      "--wait-for-bond", "--polkit=no", "--drop=2", "--disconnect-every=8000")
        rig.start_daemon()
        rig.enroll(*SERIALS)
        rig.wait(lambda: rig.ctl_json("sessions"), 30.0, "a session")
        abuse = Abuse(rig)
        try:
            abuse.measure()
            said = run_abuse(rig, abuse)
        finally:
            abuse.end()
        rig.wait(lambda: abuse.count_pipes() <= abuse.n_pipes, 40.0, "penteld to close pipes")
        truth = rig.wait_done(120.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "the treatments suffered")
        rig.stop_daemon()
        print(f"ok: {said}, grown by {abuse.grown} KiB, others waited {abuse.worst_ms} ms at most")
    return 0


if __name__ == "__main__":
    harness.main(run, 290)
