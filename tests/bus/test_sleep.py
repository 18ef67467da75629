# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The machine sleeps in mid-session (P27): penteld holds logind's delay lock, gives it back
within the five seconds that logind waits, tries nothing until the wake, and loses nothing."""

import os
import select
import sys
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

import harness  # noqa: E402
from compare import compare_all, settle  # noqa: E402

PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
XML = f"""<node><interface name='{MANAGER}'><method name='Inhibit'>
 <arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='s' direction='in'/>
 <arg type='s' direction='in'/><arg type='h' direction='out'/></method></interface></node>"""
LOGIND_WAITS_S = 5.0
SLEEP_S = 4.0


class Logind:
    """What logind does about sleep; the lock is one end of a pipe."""

    def __init__(self, rig):
        self.rig = rig
        self.locks = []
        self.asked = []
        flags = Gio.DBusConnectionFlags
        self.bus = Gio.DBusConnection.new_for_address_sync(
            rig.env["DBUS_SYSTEM_BUS_ADDRESS"],
            flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        info = Gio.DBusNodeInfo.new_for_xml(XML)
        self.bus.register_object(PATH, info.interfaces[0], self.on_call, None, None)
        self.bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                           "RequestName", GLib.Variant("(su)", ("org.freedesktop.login1", 4)), None, 0, 5000, None)

    def on_call(self, bus, sender, path, interface, method, arguments, invocation):
        ours, theirs = os.pipe()
        fds = Gio.UnixFDList.new()
        index = fds.append(theirs)
        os.close(theirs)
        self.locks.append(ours)
        self.asked.append(arguments.unpack())
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (index,)), fds)

    def turn(self):
        while GLib.MainContext.default().iteration(False):
            continue

    def is_held(self):
        self.turn()
        return bool(self.locks) and not select.select([self.locks[-1]], [], [], 0)[0]

    def prepare(self, going):
        self.bus.emit_signal(None, PATH, MANAGER, "PrepareForSleep", GLib.Variant("(b)", (going,)))
        self.bus.flush_sync(None)


def pen_of(rig):
    return rig.ctl_json("pens")[0]


def run():
    with harness.Rig("sleep") as rig:
        rig.start_sim("--pairing=-1", "--wait-for-bond", "--pens=1", "--passes=6", "--speed=3")
        logind = Logind(rig)
        rig.start_daemon()
        rig.wait(logind.is_held, 10.0, "penteld to hold a lock")
        if [ask[0::3] for ask in logind.asked] != [("sleep", "delay")]:
            raise harness.Failure(f"asked for {logind.asked}")
        rig.enroll("PT-0001")
        rig.wait(lambda: pen_of(rig)["state"] == "live", 30.0, "a session")
        began = time.monotonic()
        logind.prepare(True)
        rig.wait(lambda: not logind.is_held(), LOGIND_WAITS_S, "the lock to be given back", every=0.01)
        ready_s = time.monotonic() - began
        end = time.monotonic() + SLEEP_S
        while time.monotonic() < end:
            pen = pen_of(rig)
            if pen["state"] != "absent" or "when it wakes" not in pen["reason"]:
                raise harness.Failure(f"on the way into sleep: {pen['state']}: {pen['reason']}")
            if logind.is_held():
                raise harness.Failure("a lock was taken before the wake")
        refused = rig.ctl("enroll", "--timeout", "5")
        if refused.returncode == 0 or "sleep" not in refused.stderr:
            raise harness.Failure(f"enrolled on the way into sleep: {refused.stderr}")
        began = time.monotonic()
        logind.prepare(False)
        rig.wait(logind.is_held, 5.0, "the lock to be held again")
        rig.wait(lambda: pen_of(rig)["state"] in ("live", "connected", "backfill"), 20.0, "the pen to be linked")
        back_s = time.monotonic() - began
        truth = rig.wait_done(90.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs from the truth")
        rig.stop_daemon()
        if logind.is_held():
            raise harness.Failure("the lock outlives penteld")
        print(f"ok: ready for sleep in {ready_s * 1000:.0f} ms, streaming {back_s:.1f} s after the wake")
    return 0


if __name__ == "__main__":
    sys.exit(harness.main(run, 200))
