# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What scenarios work with: the guest's services, virtual controllers, pens and pentelctl.

It offers what tests/bus/harness.py offers to compare.py, here on the real system bus.
"""
import json
import os
import subprocess
import time
from pathlib import Path

from harness import Failure, Program, plain

RUN = Path("/run/radio")
# Emulated seconds: a host that is busy with other things makes everything slower alike.
SLOWNESS = float(os.environ.get("RADIO_SLOWNESS", "1"))


class Rig:
    def __init__(self, label):
        self.label = label
        self.programs = []
        self.truth_file = RUN / label / "truth.json"
        self.sim = None

    def __enter__(self):
        self.truth_file.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            for program in self.programs:
                print(program.tail(), flush=True)
        for program in reversed(self.programs):
            program.stop(timeout=10.0)

    def sh(self, *argv, timeout=30.0, check=True, user=None):
        """A program's output; a failure is the scenario's unless check is False."""
        done = self.run(*argv, timeout=timeout, user=user)
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(map(str, argv))}: exit {done.returncode}: "
                          f"{(done.stderr + done.stdout).strip()[-800:]}")
        return done.stdout

    def run(self, *argv, timeout=30.0, user=None):
        words = [str(word) for word in argv]
        timeout *= SLOWNESS
        try:
            return subprocess.run(words, capture_output=True, text=True, timeout=timeout, user=user,
                                  stdin=subprocess.DEVNULL, errors="replace", cwd="/")
        except subprocess.TimeoutExpired:
            raise Failure(f"{' '.join(words)} took over {timeout:.0f} s")

    def wait(self, condition, timeout, what, every=0.1):
        timeout *= SLOWNESS
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"waited {timeout:.0f} s for {what}")
            time.sleep(every)

    def start(self, name, *argv):
        program = Program(name, argv, None, self.truth_file.parent)
        self.programs.append(program)
        return program

    # Bluetooth

    def busctl(self, *words, timeout=30.0):
        return plain(json.loads(self.sh("busctl", "--json=short", *words, timeout=timeout))["data"])

    def bluez_objects(self):
        """bluetoothd's tree, empty while it is away."""
        done = self.run("busctl", "--json=short", "--timeout=5", "call", "org.bluez", "/",
                        "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        return plain(json.loads(done.stdout)["data"][0]) if done.returncode == 0 else {}

    def adapters(self):
        return {path.rsplit("/", 1)[1]: faces["org.bluez.Adapter1"]
                for path, faces in self.bluez_objects().items() if "org.bluez.Adapter1" in faces}

    def controllers(self, n):
        """n virtual controllers that hear each other, up and powered; made once per boot."""
        if self.run("systemctl", "is-active", "btvirt").returncode != 0:
            self.sh("modprobe", "-a", "hci_vhci", "uhid", "af_alg", "algif_hash", "algif_skcipher")
            self.sh("systemd-run", "--quiet", "--unit=btvirt", "btvirt", f"-l{n}")
        def powered():
            found = self.adapters()
            return len(found) == n and all(a["Powered"] for a in found.values()) and found
        try:
            return self.wait(powered, 40.0, f"{n} powered adapters", every=0.3)
        except Failure:
            seen = {name: a["Powered"] for name, a in self.adapters().items()}
            print(f"adapters powered: {seen}")
            print(self.run("btmgmt", "info", timeout=10).stdout[-2000:])
            print(self.run("dmesg").stdout[-1500:])
            raise

    # Units

    def show(self, unit, *properties):
        text = self.sh("systemctl", "show", unit, f"--property={','.join(properties)}")
        return dict(line.split("=", 1) for line in text.splitlines())

    def is_active(self, unit):
        return self.run("systemctl", "is-active", "--quiet", unit).returncode == 0

    def journal(self, unit, n=20):
        return self.sh("journalctl", "-b", "-u", unit, "-n", str(n), "--no-hostname", "-o", "short-monotonic")

    # Pens and pentelctl, as compare.py wants them

    def start_sim(self, *options):
        self.sim = self.start("pensim", "pensim", "--truth", self.truth_file, "--verbose", *options)
        self.wait(lambda: self.sim.said("READY") or not self.sim.is_running(), 30.0, "pensim")
        if not self.sim.is_running():
            raise Failure("pensim did not start")

    def truth(self):
        return json.loads(self.truth_file.read_text())

    def wait_done(self, timeout):
        self.wait(lambda: self.sim.said("DONE"), timeout, "the treatments to end", every=0.3)
        return self.truth()

    def check_daemon(self):
        if not self.is_active("penteld.service"):
            raise Failure(f"penteld is not active\n{self.journal('penteld')}")

    def ctl(self, *words, timeout=60.0, user=None):
        return self.run("pentelctl", *words, timeout=timeout, user=user)

    def ctl_ok(self, *words, timeout=60.0):
        done = self.ctl(*words, timeout=timeout)
        if done.returncode != 0:
            raise Failure(f"pentelctl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def ctl_json(self, *words):
        return json.loads(self.ctl_ok(*words, "--json"))

    def enroll(self, index, adapter="hci0", timeout=90.0):
        """Enrol one of pensim's pens on the gateway's adapter; seconds it took."""
        began = time.monotonic()
        address = self.truth()["pens"][index]["address"]
        self.ctl_ok("enroll", address, "--adapter", adapter, timeout=timeout)
        return time.monotonic() - began
