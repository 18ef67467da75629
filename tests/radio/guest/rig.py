# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What scenarios work with: the guest's services, virtual controllers, pens and pentelctl.

It offers what tests/bus/harness.py offers to compare.py, here on the real system bus.
"""
import json
import os
import re
import subprocess
import time
from pathlib import Path

from gi.repository import Gio, GLib
from harness import Failure, Program, plain

RUN = Path("/run/radio")
AIR = Path("/tmp/bt-server-bredrle")
N_PLUGS_TRIED = 3
# Emulated seconds: a host that is busy with other things makes everything slower alike.
SLOWNESS = float(os.environ.get("RADIO_SLOWNESS", "1"))


class Rig:
    def __init__(self, label):
        self.label = label
        self.programs = []
        self.truth_file = RUN / label / "truth.json"
        self.sim = None
        self.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        # What the runner's table shows.
        self.figures = {"streaming": []}

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
        # runuser gives the process the groups of its user, which polkit looks at.
        words = [*(["runuser", "-u", user, "--"] if user else []), *(str(word) for word in argv)]
        timeout *= SLOWNESS
        try:
            return subprocess.run(words, capture_output=True, text=True, timeout=timeout,
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

    def managed(self, name, path):
        """A service's objects, empty while it is away; looking never starts it."""
        try:
            reply = self.bus.call_sync(name, path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                                       None, None, Gio.DBusCallFlags.NO_AUTO_START, 5000, None)
        except GLib.Error:
            return {}
        return reply.unpack()[0]

    def bluez_objects(self):
        return self.managed("org.bluez", "/")

    def adapters(self):
        return {path.rsplit("/", 1)[1]: faces["org.bluez.Adapter1"]
                for path, faces in self.bluez_objects().items() if "org.bluez.Adapter1" in faces}

    def powered(self, n):
        found = self.adapters()
        return len(found) == n and all(a["Powered"] for a in found.values()) and found

    def controllers(self, n):
        """n virtual controllers that hear each other, up and powered; made once per boot."""
        self.dongles(*(f"pad-{i}" for i in range(n)))
        return self.wait(lambda: self.powered(n), 20, f"{n} powered adapters", every=0.3)

    def describe_links(self):
        """What bluetoothd says of every device, for a failure's report."""
        keys = ("Connected", "Paired", "ServicesResolved", "RSSI")
        return "\n".join(f"{path} {({key: device.get(key) for key in keys})}"
                         for path, faces in self.bluez_objects().items()
                         for device in [faces.get("org.bluez.Device1")] if device)

    def air(self):
        """What the dongles share; ahead of the rest, as the kernel waits two seconds for a reset."""
        if AIR.exists():
            return
        self.sh("modprobe", "-a", "hci_vhci", "uhid", "af_alg", "algif_hash", "algif_skcipher")
        self.sh("systemd-run", "--quiet", "--collect", "--unit=btvirt", "--property=Nice=-15", "btvirt", "-s")
        self.wait(AIR.exists, 10, "btvirt's socket")

    def plug(self, dongle):
        """A dongle of that name goes in; hciN it became."""
        self.air()
        before = set(self.adapters())

        def there():
            new = {name for name, a in self.adapters().items() if name not in before and a["Powered"]}
            if not new and not self.is_active(f"dongle-{dongle}.service"):
                raise Failure(f"the relay of {dongle} has ended")
            return new and new.pop()
        for _ in range(N_PLUGS_TRIED):
            self.sh("systemd-run", "--quiet", "--collect", f"--unit=dongle-{dongle}", "--property=Nice=-15",
                    "/radio/in/relay", AIR)
            try:
                name = self.wait(there, 15, f"dongle {dongle} to be powered", every=0.3)
            except Failure as failure:
                # A reset that timed out on a busy host: the controllers are no part of the test.
                print(f"{failure}: {sorted(self.adapters())}; plugged again")
                self.unplug(dongle)
                continue
            (RUN / f"dongle-{dongle}").write_text(name)
            return name
        raise Failure(f"dongle {dongle} was never powered")

    def dongles(self, *wanted):
        """Exactly these dongles plugged in, whatever was before; the hciN of each."""
        for path in sorted(RUN.glob("dongle-*")):
            dongle = path.name.removeprefix("dongle-")
            if dongle not in wanted:
                self.unplug(dongle)
        return [self.name_of(dongle) if (RUN / f"dongle-{dongle}").exists() else self.plug(dongle)
                for dongle in wanted]

    def name_of(self, dongle):
        return (RUN / f"dongle-{dongle}").read_text()

    def unplug(self, dongle):
        (RUN / f"dongle-{dongle}").unlink(missing_ok=True)
        self.run("systemctl", "stop", f"dongle-{dongle}.service")

    def freeze(self, dongle, frozen=True):
        """A radio that hears nothing and answers nothing, as behind a wall."""
        self.sh("systemctl", "kill", f"--signal={'STOP' if frozen else 'CONT'}", f"dongle-{dongle}.service")

    def drop_central(self, adapter):
        """End the link on the pen's side, of which a pulled dongle tells it nothing."""
        for path, faces in self.bluez_objects().items():
            device = faces.get("org.bluez.Device1", {})
            if path.startswith(f"/org/bluez/{adapter}/") and device.get("Connected"):
                self.run("busctl", "call", "org.bluez", path, "org.bluez.Device1", "Disconnect")

    # Units

    def show(self, unit, *properties):
        text = self.sh("systemctl", "show", unit, f"--property={','.join(properties)}")
        return dict(line.split("=", 1) for line in text.splitlines())

    def is_active(self, unit):
        return self.run("systemctl", "is-active", "--quiet", unit).returncode == 0

    def memory_kib(self, unit):
        """Of a unit's main process; empty when it has none."""
        pid = self.show(unit, "MainPID")["MainPID"]
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            return {}
        rows = dict(re.findall(r"^(\w+): +(\d+) kB$", text, re.M))
        return {key: int(rows[key]) for key in ("Pss", "Rss", "Private_Dirty")}

    def measure_memory(self):
        self.figures["memory_kib"] = {"penteld": self.memory_kib("penteld.service"),
                                      "bluetoothd": self.memory_kib("bluetooth.service")}

    def note_streaming(self, seconds, since):
        """Seconds from a fault to the pen streaming again, for the runner's table."""
        self.figures["streaming"].append({"seconds": seconds, "since": since})

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

    def pen_address(self, index=0):
        return self.truth()["pens"][index]["address"]

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
        """Of a list of sessions only those of the pens that are there now: a boot is shared."""
        shown = json.loads(self.ctl_ok(*words, "--json"))
        if words[0] == "sessions" and self.sim is not None:
            logs = {pen["log_id"] for pen in self.truth()["pens"]}
            shown = [one for one in shown if (one.get("records") or {}).get("log") in logs]
        return shown

    def pens(self):
        """Pen1 by serial; empty while penteld is away."""
        objects = self.managed("org.pentel", "/org/pentel").values()
        return {faces["org.pentel.Pen1"]["Serial"]: faces["org.pentel.Pen1"]
                for faces in objects if "org.pentel.Pen1" in faces}

    def wait_state(self, states, timeout, serial="PT-0001"):
        """Until a pen is in one of the states; seconds it took."""
        began = time.monotonic()
        seen = []

        def there():
            pen = self.pens().get(serial, {})
            if not seen or seen[-1] != (pen.get("State"), pen.get("Reason")):
                seen.append((pen.get("State"), pen.get("Reason")))
            return pen.get("State") in states
        try:
            self.wait(there, timeout, f"{serial} to be {' or '.join(states)}", every=0.2)
        except Failure as failure:
            raise Failure(f"{failure}; was {seen}\n{self.describe_links()}\n{self.journal('penteld', 30)}")
        return time.monotonic() - began

    def enroll(self, index, adapter="hci0", timeout=90.0):
        """Enrol one of pensim's pens on the gateway's adapter; seconds it took."""
        began = time.monotonic()
        address = self.pen_address(index)
        self.ctl_ok("enroll", address, "--adapter", adapter, timeout=timeout)
        return time.monotonic() - began
