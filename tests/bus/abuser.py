# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Clients that no daemon deserves: abuser.py KIND SEED N XML, on the system bus.

random    N calls of every method with arguments of right and of wrong types
thousand  N clients at once, each asking twice
vanish    N clients that leave in the middle of a call
hold      pipes that are asked for and never read, until SIGTERM
Prints one JSON object: what was answered how often, and the worst delay.
"""

import json
import os
import random
import resource
import signal
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter

from gi.repository import Gio, GLib

MANAGER = "/org/pentel/manager"
CALL_MS = 60000
TEXTS = ["", "x", "PT-0009", "hci0", "raw", "jsonl", "s1", "00000000", "live", "\x7f\u2028\u202e",
         "C0:00:00:00:00:01", "../../etc/passwd", "'; drop table raw; --", "ÿ" * 500, "9" * 40,
         "x" * 1024, "x" * 1025, "z" * 100000]
NUMBERS = [0, 1, 2, 255, 1000, 1001, 2**31 - 1, 2**31, 2**32 - 1]
WIDE = NUMBERS + [2**53, 2**63 - 1]


def connect():
    connection = Gio.DBusConnection.new_for_address_sync(
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
        | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    connection.set_exit_on_close(False)
    return connection


def read_methods(path):
    """(interface, method, signature) of all that the XML has."""
    for interface in ElementTree.parse(path).getroot().iter("interface"):
        for method in interface.iter("method"):
            yield interface.get("name"), method.get("name"), [
                arg.get("type") for arg in method.iter("arg") if arg.get("direction") == "in"]


class Drawer:
    """Random values of D-Bus types."""

    def __init__(self, luck, sessions):
        self.luck = luck
        self.texts = TEXTS + sessions * 4

    def text(self):
        if self.luck.random() < 0.2:
            return "".join(chr(self.luck.randint(1, 0xD7FF)) for _ in range(self.luck.randint(1, 40)))
        return self.luck.choice(self.texts)

    def value(self, kind):
        luck = self.luck
        if kind == "s":
            return GLib.Variant("s", self.text())
        if kind == "a{sv}":
            keys = ["pen", "since", "until", "state", "text", "patient", "operator", "zone", "note",
                    "reaction", "order", "pass", "timeout_s", "adapter", "nobody"]
            pairs = {luck.choice(keys): self.value(luck.choice("sutxbdv"))
                     for _ in range(luck.randint(0, 4))}
            if luck.random() < 0.02:
                pairs |= {f"key{i}": GLib.Variant("u", i) for i in range(5000)}
            return GLib.Variant(kind, pairs)
        if kind == "v":
            return GLib.Variant("v", self.value(luck.choice("sub")))
        if kind in "ut":
            return GLib.Variant(kind, luck.choice(NUMBERS if kind == "u" else WIDE))
        if kind == "x":
            return GLib.Variant("x", luck.choice((1, -1)) * luck.choice(WIDE))
        if kind == "b":
            return GLib.Variant("b", luck.random() < 0.5)
        if kind == "d":
            return GLib.Variant("d", luck.choice((0.0, -1.5, float("nan"), float("inf"))))
        if kind == "ay":
            return GLib.Variant("ay", luck.randbytes(luck.randint(0, 5000)))
        return GLib.Variant("o", "/org/pentel/pens/x")

    def arguments(self, types):
        """Right types, or wrong ones, too few or too many. Enrolment is kept short."""
        luck = self.luck
        if luck.random() < 0.4:
            types = [luck.choice(["s", "u", "t", "a{sv}", "x", "b", "ay", "o", "d", "v"])
                     for _ in range(luck.randint(0, 5))]
        return GLib.Variant.new_tuple(*[self.value(kind) for kind in types])


class Answers:
    def __init__(self):
        self.counts, self.worst_ms = Counter(), 0
        self.left = 0

    def ask(self, connection, interface, method, arguments, on_reply=None):
        began = time.monotonic()
        self.left += 1

        def done(source, result):
            self.left -= 1
            self.worst_ms = max(self.worst_ms, int(1000 * (time.monotonic() - began)))
            try:
                reply, fds = source.call_with_unix_fd_list_finish(result)
                self.counts["reply"] += 1
                if on_reply is not None:
                    on_reply(fds)
                else:
                    for fd in fds.steal_fds() if fds is not None else []:
                        os.close(fd)
            except GLib.Error as error:
                name = Gio.DBusError.get_remote_error(error) or f"local: {error.message[:80]}"
                self.counts[f"{name}"] += 1

        connection.call_with_unix_fd_list(
            "org.pentel", MANAGER, interface, method, arguments, None,
            Gio.DBusCallFlags.NO_AUTO_START, CALL_MS, None, None, done)

    def wait(self, at_most=0):
        context = GLib.MainContext.default()
        end = time.monotonic() + 80
        GLib.timeout_add(50, lambda: True)
        while self.left > at_most and time.monotonic() < end:
            context.iteration(True)

    def print(self):
        self.counts["unanswered"] = self.left
        print(json.dumps({"counts": self.counts, "worst_ms": self.worst_ms}), flush=True)


def list_ids(connection):
    try:
        reply = connection.call_sync("org.pentel", MANAGER, "org.pentel.Log1", "ListSessions",
                                     GLib.Variant("(a{sv}su)", ({}, "", 5)), None, 0, 5000, None)
        return [session["id"] for session in reply.unpack()[0]]
    except GLib.Error:
        return []


def call_at_random(seed, n, xml):
    connection, answers = connect(), Answers()
    drawer = Drawer(random.Random(seed), list_ids(connection))
    methods = list(read_methods(xml))
    for _ in range(n):
        interface, method, types = drawer.luck.choice(methods)
        arguments = drawer.arguments(types)
        if method == "Enroll" and arguments.get_type_string() == "(sa{sv})":
            arguments = GLib.Variant("(sa{sv})", (drawer.text()[:40] or "x",
                                                  {"timeout_s": GLib.Variant("u", 1)}))
        answers.ask(connection, interface, method, arguments)
        answers.wait(at_most=40)
    answers.wait()
    answers.print()


def come_by_thousands(n):
    answers = Answers()
    clients = [connect() for _ in range(n)]
    for client in clients:
        answers.ask(client, "org.pentel.Manager1", "Health", GLib.Variant("()", ()))
        answers.ask(client, "org.pentel.Log1", "ListSessions",
                    GLib.Variant("(a{sv}su)", ({}, "", 1000)))
    answers.wait()
    answers.print()


def vanish(seed, n):
    luck = random.Random(seed)
    for i in range(n):
        client, answers = connect(), Answers()
        ids = list_ids(client) if i % 50 == 0 else []
        drawer = Drawer(luck, ids)
        for method, types in (("StreamSession", ["s", "s"]), ("FollowLive", ["s"]),
                              ("ReadJournal", ["t"]), ("ListSessions", ["a{sv}", "s", "u"]),
                              ("Annotate", ["s", "a{sv}"])):
            answers.ask(client, "org.pentel.Log1", method,
                        GLib.Variant.new_tuple(*[drawer.value(kind) for kind in types]))
        client.flush_sync(None)
        os.close(os.dup(client.get_stream().get_socket().get_fd()))
        client.get_stream().get_socket().shutdown(True, True)
    print(json.dumps({"counts": {"vanished": n}, "worst_ms": 0}), flush=True)


def hold():
    """As many pipes as one gets; never a byte is read. A short session's would end by itself."""
    connection, answers, held = connect(), Answers(), []
    for _ in range(9):
        answers.ask(connection, "org.pentel.Log1", "FollowLive", GLib.Variant("(s)", ("",)),
                    held.append)
    answers.wait()
    answers.print()
    signal.sigtimedwait([signal.SIGTERM], 300)


def main():
    kind, seed, n, xml = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    if kind == "hold":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        hold()
    elif kind == "random":
        call_at_random(seed, n, xml)
    elif kind == "thousand":
        come_by_thousands(n)
    else:
        vanish(seed, n)


if __name__ == "__main__":
    main()
