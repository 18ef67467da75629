# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""One small world of a run: a bus, pens behind a simulated bluetoothd, penteld with the shim.

Nothing here decides what goes wrong or what is right; it starts, ends and asks. Every wait
is bounded, and everything that was started ends with the World.
"""

import ctypes
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from gi.repository import Gio, GLib

from disk import Disk

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("PENTEL_BUILD", HERE.parent.parent / "build"))
WORDS = ("ops", "stop_at", "stop_with", "stop_after", "error_from", "error_to",
         "error_permille", "error_kind", "lies", "wall_us", "marks", "mark_stop_at",
         "mark_stop_after", "n_stopped", "n_errors", "n_lies", "n_syncs", "seed", "n_started", "sync_us",
         "error_index")
SHORT = 1000
NO_END = 1 << 60
MANAGER, LOG = "org.pentel.Manager1", "org.pentel.Log1"


LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """What the run found wrong, in words."""


class Absent(Exception):
    """penteld did not answer: it is down, stopped or leaving."""


def die_with_parent():
    """In the child: whatever becomes of us, nothing is left running."""
    LIBC.prctl(1, signal.SIGKILL)


class Control:
    """The page shared with the shim (ShimWord)."""

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def __getitem__(self, word):
        return struct.unpack_from("<q", self.page, 8 * WORDS.index(word))[0]

    def __setitem__(self, word, value):
        struct.pack_into("<q", self.page, 8 * WORDS.index(word), value)

    def close(self):
        self.page.close()


class Bus:
    """A dbus-daemon at an address that outlives it."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.address = f"unix:path={directory}/{name}"
        self.process = self.connection = None

    def start(self):
        self.stop()
        with open(self.directory / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["dbus-daemon", "--nofork", "--nopidfile", f"--address={self.address}",
                 "--print-address", f"--config-file={HERE.parent / 'bus/private.conf'}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                preexec_fn=die_with_parent)
        if not self.process.stdout.readline():
            raise Failure("the bus did not start")

    def stop(self):
        self.connection = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
        (self.directory / self.name).unlink(missing_ok=True)

    def call(self, destination, path, interface, method, arguments, timeout=10.0, fds=False):
        """Its reply; with fds also the list of file descriptors."""
        try:
            if self.connection is None:
                self.connection = Gio.DBusConnection.new_for_address_sync(
                    self.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
                    | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
                self.connection.set_exit_on_close(False)
            if not fds:
                return self.connection.call_sync(
                    destination, path, interface, method, arguments, None,
                    Gio.DBusCallFlags.NO_AUTO_START, int(timeout * 1000), None).unpack()
            reply, given = self.connection.call_with_unix_fd_list_sync(
                destination, path, interface, method, arguments, None,
                Gio.DBusCallFlags.NO_AUTO_START, int(timeout * 1000), None, None)
            return reply.unpack(), given
        except GLib.Error as error:
            raise Absent(error.message) from None

    def owns(self, name):
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                         "org.freedesktop.DBus", "NameHasOwner",
                         GLib.Variant("(s)", (name,)))[0]


class World:
    def __init__(self, luck, settings, sim_options):
        below = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = Path(tempfile.mkdtemp(prefix="pentel-faults-", dir=below))
        self.luck = luck
        self.state = self.directory / "state"
        self.records_file = self.directory / "records"
        self.truth_file = self.directory / "truth.json"
        self.config = self.directory / "penteld.conf"
        self.config.write_text(settings)
        self.sim_options = sim_options
        self.bus = Bus(self.directory, "bus")
        self.quiet = Bus(self.directory, "quiet")
        self.sim = self.daemon = self.control = self.disk = None
        self.on = None  # the bus that penteld is on
        self.n_started = 0

    def __enter__(self):
        self.state.mkdir(mode=0o700)
        self.control = Control(self.directory / "control")
        self.control["seed"] = self.luck.getrandbits(40)
        self.disk = Disk(self.state)
        self.bus.start()
        self.start_sim()
        return self

    def __exit__(self, kind, error, trace):
        for process in (self.daemon, self.sim):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.bus.stop()
        self.quiet.stop()
        self.control.close()
        if kind is None or not os.environ.get("PENTEL_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def tail(self, n_lines=40):
        """What penteld and the pens said last."""
        lines = []
        for name in ("pensim", "penteld"):
            log = self.directory / f"{name}.log"
            text = log.read_text(errors="replace").splitlines() if log.exists() else []
            lines += [f"    {name}| {line}" for line in text[-n_lines:]]
        return "\n".join(lines)

    def _start(self, name, argv, **more):
        env = dict(os.environ, LC_ALL="C.UTF-8", **more)
        with open(self.directory / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(word) for word in argv], env=env, stdout=log,
                                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                    preexec_fn=die_with_parent)

    def wait(self, condition, timeout, what, every=0.01):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"waited {timeout:.0f} s for {what}")
            time.sleep(every)

    def start_sim(self):
        self.sim = self._start(
            "pensim", [BUILD / "tests/sim/pensim", "--bus", self.bus.address, "--truth",
                       self.truth_file, "--records", self.records_file, "--verbose",
                       "--calm", "--reconnect", *self.sim_options])
        self.wait(lambda: self.bus.owns("org.bluez"), 10, "pensim")

    def start_daemon(self, bus=None):
        """Do not wait for it; it may be meant to fail."""
        self.on = bus or self.bus
        self.n_started += 1
        self.disk.replay()
        log = self.directory / f"log.{self.n_started}"
        self.disk.logs.append(log)
        self.daemon = self._start(
            "penteld", [BUILD / "daemon/penteld", "--state-dir", self.state, "--config",
                        self.config],
            DBUS_SYSTEM_BUS_ADDRESS=self.on.address, G_MESSAGES_DEBUG="all",
            LD_PRELOAD=str(BUILD / "tests/faults/libshim.so"),
            PENTEL_SHIM_CONTROL=str(self.directory / "control"),
            PENTEL_SHIM_LOG=str(log), PENTEL_SHIM_ROOT=str(self.state))

    def is_up(self):
        return self.daemon is not None and self.daemon.poll() is None

    def wait_up(self, timeout=10):
        def answers():
            if not self.is_up():
                raise Failure(f"penteld ended with {self.daemon.returncode}")
            return self.on.owns("org.pentel") and self.has_shim()
        self.wait(answers, timeout, "penteld to own its name")

    def has_shim(self):
        """Without it a run proves nothing."""
        if self.control["n_started"] > self.n_started:
            raise Failure("more shims than processes")
        return self.control["n_started"] == self.n_started

    def kill_daemon(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.wait(lambda: self.has_shim() or not self.is_up(), 10, "penteld to load the shim")
            self.daemon.kill()
        if self.daemon is not None:
            self.daemon.wait()

    def stop_daemon(self, timeout=15):
        self.wait(lambda: self.on.owns("org.pentel"), 15, "penteld, to be ended")
        self.daemon.terminate()
        try:
            status = self.daemon.wait(timeout)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise Failure(f"penteld did not end within {timeout} s of SIGTERM") from None
        if status != 0:
            raise Failure(f"penteld ended with {status} on SIGTERM")

    def call(self, interface, method, signature, *arguments, **more):
        return self.on.call("org.pentel", "/org/pentel/manager", interface, method,
                            GLib.Variant(signature, arguments), **more)

    def enroll(self, serial):
        self.call(MANAGER, "Enroll", "(sa{sv})", serial,
                  {"timeout_s": GLib.Variant("u", 20)}, timeout=40.0)

    def list_pens(self):
        return self.call(MANAGER, "ListPens", "()")[0]

    def health(self):
        return self.call(MANAGER, "Health", "()")[0]

    def get_property(self, name):
        return self.on.call("org.pentel", "/org/pentel/manager",
                            "org.freedesktop.DBus.Properties", "Get",
                            GLib.Variant("(ss)", (LOG, name)))[0]

    def list_sessions(self):
        return self.call(LOG, "ListSessions", "(a{sv}su)", {}, "", 1000)[0]

    def read_raw(self, session_id):
        """Raw stream of a session as (log id, record) pairs."""
        reply, fds = self.call(LOG, "StreamSession", "(ss)", session_id, "raw", fds=True)
        with os.fdopen(fds.steal_fds()[reply[0]], "rb") as pipe:
            data = pipe.read()
        return list(split_raw(data))

    def truth(self):
        return json.loads(self.truth_file.read_text())

    def records(self):
        """What the pens made: log id to number to bytes."""
        data = self.records_file.read_bytes() if self.records_file.exists() else b""
        logs, at = {}, 0
        while at + 10 <= len(data):
            log_id, n_record = struct.unpack_from("<QH", data, at)
            record = data[at + 10:at + 10 + n_record]
            if len(record) == n_record:
                logs.setdefault(log_id, {})[struct.unpack_from("<I", record, 6)[0]] = record
            at += 10 + n_record
        return logs

    def signal_sim(self, number):
        self.sim.send_signal(number)

    def pentelctl_json(self, *words):
        done = subprocess.run([BUILD / "client/pentelctl", *words, "--json"],
                              env=dict(os.environ, LC_ALL="C.UTF-8",
                                       DBUS_SYSTEM_BUS_ADDRESS=self.on.address),
                              capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Absent(done.stderr.strip())
        return json.loads(done.stdout)


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def split_raw(data):
    """Length-delimited pentel.v1.RawRecord, read by hand."""
    at = 0
    while at < len(data):
        length, at = read_varint(data, at)
        end = at + length
        log_id, record = 0, b""
        while at < end:
            tag = data[at]
            if tag == 0x09:
                log_id = struct.unpack_from("<Q", data, at + 1)[0]
                at += 9
            elif tag == 0x12:
                n_record, at = read_varint(data, at + 1)
                record = data[at:at + n_record]
                at += n_record
            else:
                raise Failure(f"a raw record has the field {tag:#x}")
        yield log_id, record
