# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The pen and the bluetoothd of this directory, before a gateway is judged by them: a
client of a page does by hand what the profile lets a gateway do."""

import os
import select
import socket
import struct
import time

from gi.repository import Gio, GLib

import wire
from pen import Habits, Pen
from plan import Plan, play, wait_until
from world import World, main

LOG = 0xDEADBEEF00C0FFEE
DEVICE = "org.bluez.Device1"
CHAR = "org.bluez.GattCharacteristic1"


class Client:
    def __init__(self, world, pen):
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
                 | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        self.bus = Gio.DBusConnection.new_for_address_sync(world.address, flags, None, None)
        self.bus.set_exit_on_close(False)
        self.pen, self.answers = pen, []
        self.device = f"/org/bluez/hci0/dev_{pen.address.replace(':', '_')}"

    def call(self, path, interface, method, arguments=None):
        return self.bus.call_sync("org.bluez", path, interface, method, arguments, None, 0, 20000,
                                  None).unpack()

    def error(self, *words):
        try:
            self.call(*words)
        except GLib.Error as error:
            return Gio.dbus_error_get_remote_error(error), error.message
        return None, ""

    def objects(self):
        return self.call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]

    def find(self):
        self.call("/org/bluez/hci0", "org.bluez.Adapter1", "SetDiscoveryFilter",
                  GLib.Variant("(a{sv})", ({"UUIDs": GLib.Variant("as", [wire.SERVICE])},)))
        self.call("/org/bluez/hci0", "org.bluez.Adapter1", "StartDiscovery")
        wait_until(lambda: self.device in self.objects(), 5, "the pen to be heard")
        self.call("/org/bluez/hci0", "org.bluez.Adapter1", "StopDiscovery")

    def connect(self):
        self.call(self.device, DEVICE, "Connect")
        wait_until(lambda: self.objects()[self.device][DEVICE]["ServicesResolved"], 5, "services")
        self.paths = {}
        for path, known in self.objects().items():
            if CHAR in known and path.startswith(self.device):
                self.paths.setdefault(known[CHAR]["UUID"], []).append(path)

    def path(self, uuid):
        return self.paths[uuid][0]

    def read_error(self, uuid):
        return self.error(self.path(uuid), CHAR, "ReadValue", GLib.Variant("(a{sv})", ({},)))

    def read(self, uuid):
        value = self.call(self.path(uuid), CHAR, "ReadValue", GLib.Variant("(a{sv})", ({},)))
        return bytes(value[0])

    def acquire(self, uuid):
        reply, fds = self.bus.call_with_unix_fd_list_sync(
            "org.bluez", self.path(uuid), CHAR, "AcquireNotify",
            GLib.Variant("(a{sv})", ({},)), None, 0, 5000, None, None)
        return Records(socket.socket(fileno=fds.get(0)), reply.unpack()[1])

    def listen(self):
        self.bus.signal_subscribe("org.bluez", "org.freedesktop.DBus.Properties", None,
                                  self.path(wire.RACP), None, 0, self._answered)
        self.call(self.path(wire.RACP), CHAR, "StartNotify")

    def _answered(self, bus, sender, path, interface, signal, arguments, *user):
        value = arguments.unpack()[1].get("Value")
        if value:
            self.answers.append(bytes(value))

    def ask(self, text):
        """What the pen indicates, or the error of the write."""
        self.answers.clear()
        name, message = self.write_error(wire.RACP, bytes.fromhex(text))
        if name:
            return name.split(".")[-1] + message[-4:]
        wait_until(lambda: self.answers, 5, f"the answer to {text}")
        return self.answers[0].hex()

    def write_error(self, uuid, data):
        return self.error(self.path(uuid), CHAR, "WriteValue",
                          GLib.Variant("(aya{sv})", (data, {})))


class Records:
    """Takes segments apart: the records of one characteristic."""

    def __init__(self, sock, mtu):
        self.sock, self.mtu, self.next, self.part = sock, mtu, None, b""

    def take(self, timeout):
        """All records that come until nothing has come for a while."""
        out = []
        while select.select([self.sock], [], [], timeout)[0]:
            data = self.sock.recv(600)
            if not data:
                break
            assert 2 <= len(data) <= self.mtu - 3, len(data)
            count = data[0] >> 2
            assert self.next in (None, count), f"counter {count} after {self.next}"
            self.next = (count + 1) % 64
            self.part = data[1:] if data[0] & 1 else self.part + data[1:]
            if data[0] & 2:
                out.append(self.check(self.part))
        return out

    def check(self, data):
        size, guard, number, session, boot = struct.unpack("<HIIII", data[:18])
        assert size == len(data) and guard == LOG & 0xFFFFFFFF
        assert struct.unpack("<I", data[-4:])[0] == wire.crc32c(data[:-4])
        kind, message = wire.fields(data[24:-4])[0]
        return number, kind, dict(wire.fields(message)) if kind >= 20 else message


def make():
    habits = Habits(mtu=23, hz=32768, early_frames=True, short_segments=True, extra_fields=True)
    pen = Pen("K-7", "D1:00:00:00:00:07", LOG, 900, habits, boot_tick=32768 * 60,
              first_number=4001)
    plan = Plan(32768, 655, 100, depth=lambda t: 800).begin().treat(0, 65536).end()
    pen.marked = play(pen, plan, 32768)
    pen.puncture(4002, 2)
    return pen


def bonds(client, pen):
    name, _ = client.read_error(wire.FEATURE)
    assert name == "org.bluez.Error.NotPermitted", name
    assert client.read_error("00002a29-0000-1000-8000-00805f9b34fb")[0] is None
    pen.pairing = True
    feature = client.read(wire.FEATURE)
    assert feature[:1] == b"\x01" and client.objects()[client.device][DEVICE]["Bonded"]
    pen.pairing = False
    told = dict(wire.fields(feature[2:]))
    assert told[4] == LOG and told[6] == 4001 and told[7] == pen.newest and told[8] == 4001


def answers(client, pen):
    unsubscribed = client.write_error(wire.RACP, bytes.fromhex("0101"))
    assert unsubscribed[0] == "org.bluez.Error.ImproperlyConfigured", unsubscribed
    client.listen()
    for asked, answer in (("0101", "06000108"), ("0401", "0500"), ("0300", "06000307"),
                          ("0202010000" "0000", "06000205"), ("020201ffffffff", "06000205"),
                          ("02020101000000", "06000201"), ("0202020100" "0000", "06000209"),
                          ("0104010900000008000000", "06000105"), ("0909", "06000902"),
                          ("0109", "06000103"), ("0107", "06000103"), ("0201", "06000204"),
                          ("0103", "06000105"), ("010302", "06000109"), ("030000", "06000305"),
                          ("0301", "06000303"), ("0601", "06000602"), ("01030101", "06000105"),
                          ("01", "InvalidValueLengthngth")):
        got = client.ask(asked)
        assert got.startswith(answer), f"{asked}: {got}, not {answer}"
    assert pen.marked == 4001, pen.marked


def reports(client, pen):
    stored = client.acquire(wire.STORED)
    for asked, answer, sent, first, last in (
            ("0101", "06000101", pen.newest - 4000, 1, 0xFFFFFFFF),
            ("010401a20f0000a30f0000", "06000101", 2, 4002, 4003),
            ("01030101000000", "06000101", pen.newest - 4000, 1, 0xFFFFFFFF),
            ("0104010100000002000000", "06000106", 0, 1, 2),
            ("010201a10f0000", "06000101", 1, 1, 4001),
            ("0106", "06000101", 1, pen.newest, pen.newest),
            ("0105", "06000101", 1, 4001, 4001)):
        assert client.ask(asked) == answer, asked
        records = stored.take(0.5)
        numbers = [r[2][1] if r[1] == wire.HOLE else r[0] for r in records[:-1]]
        end = records[-1][2]
        assert records[-1][1] == wire.RANGE_END and len(numbers) == sent == end.get(3, 0)
        assert (end[1], end[2], end[4], end[5]) == (first, last, 4001, pen.newest), end
        assert numbers == list(range(max(first, 4001), min(last, pen.newest) + 1))[:sent]


def live(client, world, pen):
    live = client.acquire(wire.LIVE)
    assert [r[1] for r in live.take(0.3)] == [wire.HEAD], "the early head"
    written = world.do(pen.append, wire.BUTTON, wire.number(1, 2))
    assert [r[:2] for r in live.take(0.3)] == [(written, wire.BUTTON)]
    assert [r[1] for r in live.take(2.2)] == [wire.HEAD], "a head after 2 s"
    error = client.write_error(wire.CLOCK, b"\x02" + struct.pack("<Q", 840000000)[:6] + b"\x01\x00")
    assert error[0] is None, error
    assert [r[1] for r in live.take(0.3)] == [wire.CLOCK_SET]
    error = client.write_error(wire.CLOCK, b"\x02" + struct.pack("<Q", 84)[:6] + b"\x01\x00")
    assert error[1].endswith("0xff"), error
    ticks = [int.from_bytes(client.read(wire.CLOCK)[1:7], "little") for _ in range(2)]
    assert 600000 <= ticks[0] < ticks[1] < 900000, ticks
    world.do(pen.line.link.drop)
    assert os.read(live.sock.fileno(), 100) == b"", "no end of file after the link was lost"


def run():
    pen = make()
    with World([pen]) as world:
        client = Client(world, pen)
        context = GLib.MainContext.default()
        assert context is not None
        assert client.device not in client.objects(), "there before discovery"
        client.find()
        client.connect()
        bonds(client, pen)
        answers(client, pen)
        reports(client, pen)
        live(client, world, pen)
        time.sleep(0.1)
        assert client.path(wire.RACP) in client.objects(), "a bonded device keeps its objects"


if __name__ == "__main__":
    main(run, 60)
