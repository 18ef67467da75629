# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Reads org.pentel.Log1.FollowLive of one pen and sets its lines beside the pen's records."""

import json
import os
import threading

from gi.repository import GLib

import wire
from exports import samples


class Follower:
    def __init__(self, world, pen):
        self.pen, self.lines = pen, []
        managed = world.connection.call_sync(
            "org.pentel", "/org/pentel", "org.freedesktop.DBus.ObjectManager",
            "GetManagedObjects", None, None, 0, 10000, None).unpack()[0]
        path = next(path for path, known in managed.items() if "org.pentel.Log1" in known)
        reply, fds = world.connection.call_with_unix_fd_list_sync(
            "org.pentel", path, "org.pentel.Log1", "FollowLive",
            GLib.Variant("(s)", (pen.serial,)), None, 0, 10000, None, None)
        self.fd = fds.get(reply.unpack()[0])
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with os.fdopen(self.fd, "r") as stream:
            for line in stream:
                self.lines.append(json.loads(line))

    def differences(self, session):
        """Of the samples that were shown of a session."""
        shown = {}
        for line in list(self.lines):
            if "event" not in line and line.get("session") == wire.session_id(
                    self.pen.log_id, session):
                shown.setdefault(line["number"], []).append(line)
        out = []
        for number, lines in shown.items():
            want = list(samples([self.pen.facts[number]]))
            keys = want[0].keys() - {"tick_us"}
            if [{k: one[k] for k in keys} for one in lines] != [
                    {k: one[k] for k in keys} for one in want]:
                out.append(f"live samples of record {number} differ: {lines[:2]}")
        return out, len(shown)
