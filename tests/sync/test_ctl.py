# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pentelctl sync against running sinks."""

import json
import os
import subprocess

import jsonschema
from gi.repository import Gio, GLib

import bench as b
from bench import check, same

SCHEMA = json.loads((b.HERE.parent.parent / "client/ctl/schema/sync.json").read_text())
NOBODY = 65534
# Exit codes of pentelctl.
FAILED, USAGE, NO_PERMISSION, NOT_FOUND = 1, 2, 4, 5


def ctl(bench, *words, code=0, user=None):
    done = bench.ctl("sync", *words, code=code, user=user)
    return done.stdout if code == 0 else done.stderr


def shown(bench):
    out = json.loads(ctl(bench, "--json"))
    jsonschema.validate(out, SCHEMA)
    return out


def start(bench):
    penteld = bench.penteld()
    ids = [penteld.add() for _ in range(4)]
    penteld.annotate(ids[0], patient="P-1")
    penteld.annotate(ids[1], patient="P-2")
    gone = penteld.sessions.pop(ids[1])
    for name in ("aside", "out"):
        bench.configure(name, "[sink]\nkind=directory\npoll-s=1\n")
        bench.service(name)
    bench.wait(lambda: all(bench.try_status(n).get("set_aside") == 1 for n in ("aside", "out")), 30,
               "both sinks")
    return penteld, ids, gone


def shows(bench):
    penteld, ids, _ = start(bench)
    out = shown(bench)
    same("names", ["aside", "out"], [sink["name"] for sink in out])
    same("numbers", [1, 0, 2, 1], [out[0][k] for k in ("delivered", "waiting", "unbound", "set_aside")])
    same("last", ids[0], out[0]["last_delivered"])
    text = ctl(bench)
    for words in ("aside (directory)", "1 sessions", ids[0][:8], "2 without a patient reference",
                  "1 set aside", f"{ids[1][:8]}", "does not know this session", "annotate"):
        check(words in text, f"no {words!r} in {text}")
    check(all(len(line) <= 80 for line in text.splitlines()), f"too wide: {text}")
    penteld.stop()
    bench.wait(lambda: "last_error" in bench.status("out"), 20, "an error")
    text = ctl(bench)
    check("penteld is not running" in " ".join(text.split()) and "next try" in text, f"no error: {text}")


def silent(bench):
    """A sink that does not answer is shown with its error, between those that do."""
    penteld, _, _ = start(bench)
    bus = Gio.DBusConnection.new_for_address_sync(
        bench.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
        Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                  GLib.Variant("(su)", ("org.pentel.Sync.mute", 4)), None, 0, -1, None)
    done = subprocess.run([str(b.CTL), "sync"], env=bench.env, capture_output=True, text=True, timeout=60)
    check(done.returncode == FAILED and len(done.stderr.splitlines()) == 1, f"not told: {done}")
    for words in ("aside (directory)", "mute\n", "out (directory)", "cannot ask the sink"):
        check(words in done.stdout, f"no {words!r} in {done.stdout}")
    done = subprocess.run([str(b.CTL), "sync", "--json"], env=bench.env, capture_output=True, text=True,
                          timeout=60)
    check(done.returncode == FAILED, f"not told: {done}")
    out = json.loads(done.stdout)
    jsonschema.validate(out, SCHEMA)
    same("sinks", [("aside", "directory"), ("mute", None), ("out", "directory")],
         [(sink["name"], sink["kind"]) for sink in out])
    check("cannot ask the sink" in out[1]["last_error"], f"no error: {out[1]}")
    bus.close_sync(None)


def retries(bench):
    penteld, ids, gone = start(bench)
    for words in (("retry",), ("again",), ("retry", "out", "x", "y")):
        ctl(bench, *words, code=USAGE)
    check("no sink of that name" in ctl(bench, "retry", "nowhere", code=NOT_FOUND), "no remedy")
    check("no such session" in ctl(bench, "retry", "out", "00000000", code=NOT_FOUND), "no remedy")
    penteld.sessions[ids[1]] = gone
    same("output", "", ctl(bench, "retry", "out", ids[1][:8]))
    bench.wait(lambda: bench.status("out")["set_aside"] == 0, 20, "the one")
    same("the other sink", 1, bench.status("aside")["set_aside"])
    same("retried", {"retried": 3}, json.loads(ctl(bench, "retry", "aside", "--json")))
    bench.wait(lambda: bench.status("aside")["delivered"] == 2, 20, "the others")
    check("does not wait" in ctl(bench, "retry", "out", ids[0], code=NOT_FOUND), "no remedy")


def none(bench):
    same("nothing runs", [], shown(bench))
    check("systemctl enable --now pentel-sync@NAME" in ctl(bench), "no remedy")


def denied(bench):
    """Without polkit only root may ask."""
    if os.getuid() != 0:
        return "skipped: needs root"
    start(bench)
    ctl(bench, code=NO_PERMISSION, user=NOBODY)
    ctl(bench, "retry", "out", code=NO_PERMISSION, user=NOBODY)
    return None


if __name__ == "__main__":
    b.main([shows, silent, retries, none, denied], 110)
