# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A private bus with the bluetoothd of this directory on it, penteld and pentelctl.

The bluetoothd runs in a thread of the test; `do` runs something there. Every wait is
bounded and everything that was started ends with the World.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from bluez import Bluez  # noqa: E402
from objects import Tree  # noqa: E402
from plan import wait_until  # noqa: E402

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("PENTEL_BUILD", HERE.parent.parent / "build"))
PENTELD, PENTELCTL = BUILD / "daemon/penteld", BUILD / "client/pentelctl"


class World:
    def __init__(self, pens, adapters=((0, "0C:11:22:33:44:01"),), synchronised=True):
        self.pens, self.adapters, self.synchronised = pens, adapters, synchronised
        self.directory = Path(tempfile.mkdtemp(prefix="pentel-indie-"))
        self.programs, self.logs = {}, {}
        self.loop, self.bluez, self.connection = GLib.MainLoop(), None, None

    def __enter__(self):
        (self.directory / "state").mkdir()
        bus = self.start("bus", "dbus-daemon", "--nofork", "--print-address",
                         f"--config-file={HERE.parent / 'bus/private.conf'}")
        log = self.logs["bus"]
        wait_until(lambda: log.read_text().endswith("\n") or bus.poll() is not None, 10,
                   "the bus to give its address")
        self.address = log.read_text().split("\n")[0]
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = self.address
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()
        self.do(self._own)
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            traceback.print_exception(kind, error, trace, file=sys.stdout)
            for name, log in self.logs.items():
                lines = log.read_text(errors="replace").splitlines()[-40:]
                print("\n".join(f"    {name}| {line}" for line in lines))
        for name in reversed(list(self.programs)[1:]):
            self.stop(name)
        self.connection.close_sync(None)
        self.loop.quit()
        self.thread.join(5)
        self.stop("bus")
        if os.environ.get("PENTEL_KEEP"):
            print(f"kept {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _own(self):
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
                 | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        self.connection = Gio.DBusConnection.new_for_address_sync(self.address, flags, None, None)
        self.connection.set_exit_on_close(False)
        self.bluez = Bluez(Tree(self.connection), self.pens, self.adapters)
        tree = self.bluez.tree
        tree.add("/org/freedesktop/timedate1", {"org.freedesktop.timedate1": (
            {"NTPSynchronized": self.synchronised}, None, None)})
        for name in ("org.bluez", "org.freedesktop.timedate1"):
            Gio.bus_own_name_on_connection(self.connection, name, 0, None, None)

    def do(self, work, *arguments):
        """work(*arguments) in the thread of the bluetoothd; its value."""
        done, result = threading.Event(), []

        def run():
            try:
                result.append((work(*arguments), None))
            except Exception as error:
                result.append((None, error))
            done.set()
            return False

        GLib.idle_add(run)
        if not done.wait(20):
            raise AssertionError("the bluetoothd of the test hangs")
        value, error = result[0]
        if error:
            raise error
        return value

    def live(self, happening):
        """A Live plan goes on from now."""
        GLib.timeout_add(10, happening.poll)
        return happening

    # Programs.

    def start(self, name, *argv):
        log = self.logs.setdefault(name, self.directory / f"{name}.log")
        with open(log, "ab") as out:
            self.programs[name] = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self.programs[name]

    def stop(self, name, number=signal.SIGTERM):
        program = self.programs.pop(name)
        if program.poll() is None:
            program.send_signal(number)
        try:
            return program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(10)
            return None

    def start_daemon(self):
        # What it says of itself at every level: shown when a test fails.
        os.environ["G_MESSAGES_DEBUG"] = "all"
        daemon = self.start("penteld", PENTELD, "--state-dir", self.directory / "state")
        wait_until(lambda: daemon.poll() is not None or self.owned("org.pentel"), 15,
                   "penteld to own org.pentel")
        assert daemon.poll() is None, f"penteld ended with {daemon.returncode}"

    def owned(self, name):
        reply = self.connection.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
            "NameHasOwner", GLib.Variant("(s)", (name,)), None, 0, 5000, None)
        return reply.unpack()[0]

    def ctl(self, *words, timeout=60):
        env = dict(os.environ, LC_ALL="C.UTF-8", NO_COLOR="1")
        env.pop("G_MESSAGES_DEBUG", None)
        return subprocess.run([str(PENTELCTL), *words], env=env, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, cwd="/")

    def ctl_json(self, *words):
        done = self.ctl(*words, "--json")
        assert done.returncode == 0, (f"pentelctl {' '.join(words)}: exit {done.returncode}: "
                                      f"{done.stderr.strip()}")
        return json.loads(done.stdout)

    def enroll(self, pen, timeout=60):
        pen.pairing = True
        done = self.ctl("enroll", pen.serial, timeout=timeout)
        pen.pairing = False
        assert done.returncode == 0, (f"enroll {pen.serial}: exit {done.returncode}: "
                                      f"{done.stderr.strip()}")


def main(run, limit_s):
    """The whole test within its time."""
    def give_up(number, frame):
        raise AssertionError(f"not over in {limit_s} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(limit_s)
    try:
        run()
    except AssertionError as error:
        print(f"FAILED {error}")
        sys.exit(1)
    print("ok")
