# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Somebody without any right on the bus: writes down all that it can see of org.pentel.

observer.py FILE: match rules for everything, introspection and every property of every
object, again and again until SIGTERM. Runs as another user, from a copy of its own.
"""

import signal
import sys

from gi.repository import Gio, GLib

OBJECTS = "org.freedesktop.DBus.ObjectManager"


def look(bus, out):
    """Every object, its interfaces and properties, and what the methods say to us."""
    def call(path, interface, method, arguments=None):
        try:
            reply = bus.call_sync("org.pentel", path, interface, method, arguments, None,
                                  Gio.DBusCallFlags.NO_AUTO_START, 2000, None)
            text = reply.print_(True)
        except GLib.Error as error:
            text = error.message
        out.write(f"{path} {method} {text}\n")
        return text

    paths = ["/", "/org", "/org/pentel", "/org/pentel/manager", "/org/pentel/pens"]
    for path in paths:
        xml = call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
        paths += [f"{path}/{part.split(chr(34))[0]}" for part in xml.split('<node name="')[1:]
                  if path == "/org/pentel/pens"]
        for interface in xml.split('<interface name="')[1:]:
            call(path, "org.freedesktop.DBus.Properties", "GetAll",
                 GLib.Variant("(s)", (interface.split('"')[0],)))
    call("/org/pentel", OBJECTS, "GetManagedObjects")
    call("/org/pentel/manager", "org.pentel.Log1", "ListSessions",
         GLib.Variant("(a{sv}su)", ({}, "", 10)))
    call("/org/pentel/manager", "org.pentel.Manager1", "ListPens")
    call("/org/pentel/manager", "org.pentel.Manager1", "Health")


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    out = open(sys.argv[1], "a", buffering=1, encoding="utf-8", errors="replace")
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)

    def on_message(connection, message, is_incoming):
        if is_incoming:
            out.write(message.print_(0) + "\n")
        return message

    bus.add_filter(on_message)
    for rule in ("type='signal'", "type='method_call',eavesdrop='true'",
                 "type='method_return',eavesdrop='true'", "type='error',eavesdrop='true'"):
        try:
            bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                          "AddMatch", GLib.Variant("(s)", (rule,)), None, 0, 2000, None)
        except GLib.Error as error:
            out.write(f"{rule}: {error.message}\n")
    GLib.timeout_add(300, lambda: look(bus, out) or True)
    look(bus, out)
    out.write("LOOKING\n")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
