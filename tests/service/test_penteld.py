# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""penteld as systemd sees it: readiness, watchdog, an orderly end, and one line for
each way in which it cannot run."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bus"))
import harness  # noqa: E402

PENTELD = harness.BUILD / "daemon/penteld"


def fail(rig, what):
    raise harness.Failure(f"{rig.label}: {what}")


class Manager:
    """systemd's end of the notification socket."""

    def __init__(self, rig):
        path = rig.directory / "notify"
        self.rig = rig
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.lines = []
        rig.env["NOTIFY_SOCKET"] = str(path)

    def expect(self, line, timeout):
        end = time.monotonic() + timeout
        while line not in self.lines:
            left = end - time.monotonic()
            if left <= 0:
                fail(self.rig, f"no {line!r} within {timeout} s, only {self.lines}")
            self.socket.settimeout(left)
            try:
                self.lines += self.socket.recv(4096).decode().splitlines()
            except TimeoutError:
                pass
        self.lines = self.lines[self.lines.index(line) + 1:]


def expect_line(rig, code, words, *argv):
    """A run that ends by itself with this code and one line that has these words."""
    done = subprocess.run([str(PENTELD), *map(str, argv)], env=rig.env, capture_output=True,
                          text=True, timeout=20, stdin=subprocess.DEVNULL)
    lines = done.stderr.strip().splitlines()
    if done.returncode != code:
        fail(rig, f"{argv}: exit {done.returncode}, not {code}: {done.stderr!r}")
    if len(lines) != 1 or words not in lines[0] or not lines[0].startswith("penteld: "):
        fail(rig, f"{argv}: not one line with {words!r}: {done.stderr!r}")


def lifecycle(rig):
    """Ready without any bluetoothd, alive, ended on both signals."""
    manager = Manager(rig)
    rig.env["WATCHDOG_USEC"] = "1000000"
    for number in (signal.SIGTERM, signal.SIGINT):
        rig.start_daemon()
        manager.expect("READY=1", 5.0)
        manager.expect("WATCHDOG=1", 3.0)
        manager.expect("WATCHDOG=1", 3.0)
        began = time.monotonic()
        rig.daemon.send(number)
        manager.expect("STOPPING=1", 5.0)
        status = rig.daemon.stop(number, timeout=5.0)  # a second signal changes nothing
        if status != 0:
            fail(rig, f"ended with {status} on {number}")
        if time.monotonic() - began > 3.0:
            fail(rig, "took over 3 s to end")


def ended_early(rig):
    """Told to end while it starts: before its signals are taken, or as whoever ends well."""
    for step in range(40):
        process = subprocess.Popen([str(PENTELD), "--state-dir", str(rig.state)], env=rig.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(0.002 * step)
        process.send_signal(signal.SIGTERM)
        status = process.wait(10)
        if status not in (0, -signal.SIGTERM):
            fail(rig, f"told to end after {2 * step} ms of its start it ended with {status}")


def bus_lost(rig):
    rig.start_daemon()
    rig.programs[0].stop(signal.SIGKILL)
    rig.wait(lambda: not rig.daemon.is_running(), 10.0, "penteld to end without its bus")
    if rig.daemon.process.returncode != 1:
        fail(rig, f"ended with {rig.daemon.process.returncode}")
    if "bus is gone" not in rig.daemon.err.read_text():
        fail(rig, f"does not say why: {rig.daemon.err.read_text()!r}")


def taken(rig):
    rig.start_daemon()
    expect_line(rig, 1, "org.pentel is already owned", "--state-dir", rig.directory / "other")
    expect_line(rig, 1, "store", "--state-dir", rig.state)
    rig.check_daemon()
    rig.stop_daemon()


def no_bus(rig):
    rig.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={rig.directory}/nothing"
    expect_line(rig, 1, "cannot connect to the system bus", "--state-dir", rig.state)


def words(rig):
    config = rig.directory / "penteld.conf"
    config.write_text("[store]\ncommit-ms=never\n")
    expect_line(rig, 2, "commit-ms: 'never'", "--config", config)
    expect_line(rig, 2, "No such file", "--config", rig.directory / "absent.conf")
    expect_line(rig, 2, "--nonsense", "--nonsense")
    expect_line(rig, 2, "one word too many", "now")
    for option, said in (("--version", "penteld "), ("--help", "--state-dir")):
        done = subprocess.run([str(PENTELD), option], capture_output=True, text=True, timeout=20)
        if done.returncode != 0 or said not in done.stdout:
            fail(rig, f"{option}: {done.returncode} {done.stdout!r}")


def config_holds(rig):
    """What the file says is what is written beside the numbers."""
    config = rig.directory / "penteld.conf"
    config.write_text("[pass]\nlift-ms=700\n[link]\nnotify=start\n")
    rig.daemon = rig._start("penteld", PENTELD, "--state-dir", rig.state, "--config", config)
    rig.wait(lambda: rig.owns("org.pentel"), 10.0, "penteld to own org.pentel")
    health = rig.busctl("org.pentel", "/org/pentel/manager", "org.pentel.Manager1", "Health")[0]
    if not any("notify = start" in one["text"] for one in health["findings"]):
        fail(rig, f"no finding about notify: {health['findings']}")
    rig.stop_daemon()


CASES = {case.__name__: case for case in
         (lifecycle, ended_early, bus_lost, taken, no_bus, words, config_holds)}


def run_case(name):
    with harness.Rig(name) as rig:
        CASES[name](rig)


def run():
    if not PENTELD.exists():
        print(f"no {PENTELD}: build first, or set PENTEL_BUILD")
        return 1
    os.environ.pop("NOTIFY_SOCKET", None)
    return harness.in_parallel(sys.argv[1:] or list(CASES), run_case, n_workers=2)


if __name__ == "__main__":
    signal.alarm(100)
    sys.exit(1 if run() else 0)
