# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A bluetoothd of a page or two, after BlueZ's D-Bus documentation: adapters, devices that
appear while discovery runs, links, bonds that belong to one adapter, and GATT clients.

It serves the Pen objects it is given. Everything runs in one thread, by `later`.
"""

import socket

from gi.repository import GLib

import wire
from pen import Att

ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE, CHAR = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
BATTERY, AGENTS = "org.bluez.Battery1", "org.bluez.AgentManager1"
ABSENT_S = 41.0
LEVEL, VENDOR = "00002a19-0000-1000-8000-00805f9b34fb", "b7f1d0aa-61c3-4d4e-9a3e-2f5f8a6f0c11"
PENTEL = ((wire.FEATURE, ["read"]), (wire.LIVE, ["notify"]), (wire.STORED, ["notify"]),
          (wire.RACP, ["write", "indicate"]), (wire.CLOCK, ["read", "write"]))
INFORMATION = (("00002a29-0000-1000-8000-00805f9b34fb", ["read"]),
               ("00002a25-0000-1000-8000-00805f9b34fb", ["read"]))


def long(short):
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


def later(seconds, call, *arguments):
    GLib.timeout_add(int(seconds * 1000), lambda: call(*arguments) and False)


class Adapter:
    def __init__(self, bluez, index, address):
        self.bluez, self.address = bluez, address
        self.path = f"/org/bluez/hci{index}"
        self.devices, self.discovering, self.filters = {}, set(), {}
        bluez.tree.add(self.path, {ADAPTER: ({
            "Address": address, "AddressType": "public", "Name": "box", "Alias": "box",
            "Class": 0, "Powered": True, "Discoverable": False, "Pairable": True,
            "Discovering": False, "UUIDs": [long("1800"), long("1801")], "Roles": ["central"]},
            self.called, None)})

    def called(self, method, call):
        getattr(self, method)(call)

    def SetDiscoveryFilter(self, call):
        self.filters[call.sender] = call.arguments[0]
        call.reply()

    def GetDiscoveryFilters(self, call):
        call.reply("(as)", ["UUIDs", "RSSI", "Pathloss", "Transport", "DuplicateData"])

    def StartDiscovery(self, call):
        if call.sender in self.discovering:
            return call.fail("InProgress", "Operation already in progress")
        self.discovering.add(call.sender)
        self.bluez.watch(call.sender)
        call.reply()
        self.bluez.tree.change(self.path, ADAPTER, Discovering=True)
        later(0.15, self.scan)

    def StopDiscovery(self, call):
        if call.sender not in self.discovering:
            return call.fail("Failed", "No discovery started")
        call.reply()
        self.stop(call.sender)

    def stop(self, sender):
        self.discovering.discard(sender)
        if not self.discovering:
            self.bluez.tree.change(self.path, ADAPTER, Discovering=False)
            for device in self.devices.values():
                self.bluez.tree.change(device.path, DEVICE, RSSI=None)

    def scan(self):
        """One round of advertisements, then again while somebody wants them."""
        if not self.discovering:
            return
        for pen in self.bluez.pens:
            wanted = [f.get("UUIDs") for s, f in self.filters.items() if s in self.discovering]
            if pen.here and not pen.line and (len(wanted) < len(self.discovering) or any(
                    not w or wire.SERVICE in [u.lower() for u in w] for w in wanted)):
                self.heard(pen)
        later(0.7, self.scan)

    def heard(self, pen):
        device = self.devices.get(pen.address)
        first = device is None
        device = device or Device(self, pen)
        # A name is in every second advertisement only.
        if not first or not pen.habits.late_name:
            self.bluez.tree.change(device.path, DEVICE, Name=pen.name, Alias=pen.name)
        device.rssi = -48 - (device.rssi or -40) % 7
        self.bluez.tree.change(device.path, DEVICE, RSSI=device.rssi)

    def RemoveDevice(self, call):
        for device in list(self.devices.values()):
            if device.path == call.arguments[0]:
                device.remove()
                return call.reply()
        call.fail("DoesNotExist", "Does Not Exist")


class Device:
    """One pen as one adapter knows it."""

    def __init__(self, adapter, pen):
        self.adapter, self.bluez, self.pen = adapter, adapter.bluez, pen
        self.tree = adapter.bluez.tree
        self.path = f"{adapter.path}/dev_{pen.address.replace(':', '_')}"
        self.link, self.pending, self.rssi, self.mtu = None, None, None, 23
        adapter.devices[pen.address] = self
        self.tree.add(self.path, {DEVICE: ({
            "Address": pen.address, "AddressType": "random", "Name": None,
            "Alias": pen.address.replace(":", "-"), "UUIDs": [wire.SERVICE],
            "Paired": False, "Bonded": False, "Connected": False, "Trusted": False,
            "Blocked": False, "LegacyPairing": False, "RSSI": None,
            "ServicesResolved": False, "Adapter": adapter.path}, self.called, None)})

    def called(self, method, call):
        getattr(self, method)(call)

    def bonded(self):
        return self.adapter.address in self.pen.bonds and self.tree.get(self.path, DEVICE, "Bonded")

    def Connect(self, call):
        if self.link:
            return call.reply()
        if self.pending:
            return call.fail("InProgress", "Operation already in progress")
        self.pending = call
        later(0.3, self._try, call, ABSENT_S)

    def _try(self, call, left):
        if self.pending is not call:
            return
        if self.pen.here and not self.pen.line:
            self.pending = None
            self._up()
            # The reply comes before the services are known.
            later(0.05, call.reply)
        elif left <= 0:
            self.pending = None
            call.fail("Failed", "le-connection-abort-by-local")
        else:
            later(0.25, self._try, call, left - 0.25)

    def _up(self):
        self.mtu = self.pen.habits.mtu
        self.link = Link(self)
        self.pen.linked(self.link)
        self.tree.change(self.path, DEVICE, Connected=True)
        if self.pen.habits.resolved_first:
            later(0.2, self._resolved, self.link)
            later(0.6, self._discover, self.link)
        else:
            later(0.3, self._discover, self.link)
            later(0.35, self._resolved, self.link)

    def _resolved(self, link):
        if self.link is link:
            self.tree.change(self.path, DEVICE, ServicesResolved=True, UUIDs=sorted(
                [wire.SERVICE, long("180a"), long("180f"), long("1801")]))

    def _discover(self, link):
        if self.link is not link:
            return
        if not self.tree.below(self.path):
            add_services(self)
        if BATTERY not in self.tree.objects[self.path]:
            self.tree.add(self.path, {BATTERY: ({"Percentage": self.pen.battery}, None, None)})

    def Disconnect(self, call):
        if self.pending:
            pending, self.pending = self.pending, None
            pending.fail("Failed", "le-connection-abort-by-local")
            return call.reply()
        if not self.link:
            return call.fail("NotConnected", "Not Connected")
        later(0.05, self.down)
        later(0.1, call.reply)

    def down(self):
        """The link is over, whoever ended it."""
        link, self.link = self.link, None
        if not link:
            return
        link.close()
        self.pen.unlinked()
        self.tree.change(self.path, DEVICE, Connected=False, ServicesResolved=False)
        if not self.bonded():
            self._forget_services()

    def _forget_services(self):
        for path in self.tree.below(self.path):
            self.tree.remove(path)

    def Pair(self, call):
        if self.bonded():
            return call.fail("AlreadyExists", "Already Exists")
        self._pair(call, 41.0)

    def _pair(self, call, left):
        if not self.link:
            if not self.pen.here or self.pen.line:
                if left <= 0:
                    return call.fail("ConnectionAttemptFailed", "Page Timeout")
                return later(0.25, self._pair, call, left - 0.25)
            self._up()
        later(0.4, self._paired, call)

    def _paired(self, call):
        if self.bond():
            later(0.3, call.reply)
        else:
            call.fail("AuthenticationFailed", "Authentication Failed")

    def bond(self):
        """As the pen decides; also what a read of an encrypted value starts."""
        if not self.bonded() and self.link and self.pen.pairing:
            self.pen.bonds.add(self.adapter.address)
            self.pen.pairing = not self.pen.habits.one_bond
            self.pen.seen.append(("bonded", self.adapter.address))
            self.tree.change(self.path, DEVICE, Paired=True, Bonded=True)
        return self.bonded()

    def CancelPairing(self, call):
        call.fail("DoesNotExist", "Does Not Exist")

    def remove(self):
        self.down()
        self._forget_services()
        self.tree.remove(self.path)
        self.adapter.devices.pop(self.pen.address, None)


class Link:
    """What the pen sees of a link."""

    def __init__(self, device):
        self.device, self.mtu = device, device.mtu
        self.chars = {}
        self.n_sent = self.lost = 0

    def send(self, uuid, data):
        char = self.chars.get(uuid)
        self.n_sent += 1
        lose = self.device.pen.habits.lose_every
        if lose and uuid != wire.RACP and self.n_sent % lose == 0:
            self.lost += 1
        elif char and uuid == wire.RACP and not self.device.pen.habits.answer_first:
            later(0.015, char.value, data)
        elif char:
            char.value(data)

    def drop(self):
        self.device.down()

    def close(self):
        for char in self.chars.values():
            char.closed()
        self.chars = {}


class Char:
    def __init__(self, device, path, uuid, flags, service, ours):
        self.device, self.tree, self.path = device, device.tree, path
        self.uuid, self.flags, self.ours = uuid, flags, ours
        self.socket, self.watch, self.listeners, self.busy = None, 0, set(), False
        can = "notify" in flags
        both = can or "indicate" in flags
        handle = int(path[-4:], 16)
        device.tree.add(path, {CHAR: ({
            "UUID": uuid, "Service": service, "Value": None,
            "Notifying": False if both else None, "NotifyAcquired": False if can else None,
            "Flags": flags, "Handle": handle, "MTU": device.mtu}, self.called, None)})

    def called(self, method, call):
        if not self.device.link:
            return call.fail("Failed", "Not connected")
        getattr(self, method)(call)

    def _secure(self):
        return not self.ours or self.device.bond()

    def _request(self, call, work):
        """One request at a time; its answer takes a connection interval."""
        if self.busy:
            return call.fail("InProgress", "In Progress")
        self.busy = True
        later(self.device.pen.habits.answer_s, self._work, call, work, self.device.link)

    def _work(self, call, work, link):
        self.busy = False
        if self.device.link is not link:
            return call.fail("Failed", "Not connected")
        if not self._secure():
            return call.fail("NotPermitted", "Not paired")
        try:
            work()
        except Att as error:
            if error.code == 0x0D:
                return call.fail("InvalidValueLength", "Invalid Length")
            if error.code == 0xFD:
                return call.fail("ImproperlyConfigured", "Improperly Configured")
            call.fail("Failed", f"Operation failed with ATT error: 0x{error.code:02x}")

    def ReadValue(self, call):
        if "read" not in self.flags:
            return call.fail("NotPermitted", "Read not permitted")

        def work():
            whole = self.device.pen.read(self.uuid) if self.ours else b"Indie"
            value = whole[call.arguments[0].get("offset", 0):]
            self.tree.change(self.path, CHAR, Value=value)
            call.reply("(ay)", value)

        self._request(call, work)

    def WriteValue(self, call):
        value, options = call.arguments
        if "write" not in self.flags or options.get("type") == "command":
            return call.fail("NotSupported", "Operation is not supported")

        def work():
            self.device.pen.write(self.uuid, bytes(value))
            call.reply()

        self._request(call, work)

    def AcquireNotify(self, call):
        if "notify" not in self.flags:
            return call.fail("NotSupported", "Operation is not supported")
        if self.socket:
            return call.fail("NotPermitted", "Notify acquired")
        if self.listeners:
            return call.fail("InProgress", "In Progress")

        def work():
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            mine.setblocking(False)
            theirs.setblocking(False)
            self.socket = mine
            self.watch = GLib.unix_fd_add_full(0, mine.fileno(), GLib.IOCondition.HUP, self._hup,
                                               None)
            self._subscribe()
            self.tree.change(self.path, CHAR, NotifyAcquired=True)
            call.reply_fd(theirs.fileno(), self.device.mtu)
            theirs.close()

        self._request(call, work)

    def _subscribe(self):
        self.device.link.chars[self.uuid] = self
        if self.ours:
            self.device.pen.subscribe(self.uuid)

    def _hup(self, *ignored):
        self.watch = 0
        self.closed()
        if self.device.link:
            self.device.link.chars.pop(self.uuid, None)
            self.device.pen.unsubscribe(self.uuid)
        return False

    def StartNotify(self, call):
        if not {"notify", "indicate"} & set(self.flags):
            return call.fail("NotSupported", "Operation is not supported")
        if self.socket:
            return call.fail("NotPermitted", "Notify acquired")
        if call.sender in self.listeners:
            return call.fail("InProgress", "In Progress")

        def work():
            self.listeners.add(call.sender)
            self.device.bluez.watch(call.sender)
            self._subscribe()
            self.tree.change(self.path, CHAR, Notifying=True)
            call.reply()

        self._request(call, work)

    def StopNotify(self, call):
        call.reply()
        self.gone(call.sender)

    def gone(self, sender):
        """A listener left the bus."""
        if sender in self.listeners:
            self.listeners.discard(sender)
            if not self.listeners:
                self.tree.change(self.path, CHAR, Notifying=False)
                if self.device.link:
                    self.device.link.chars.pop(self.uuid, None)
                    self.device.pen.unsubscribe(self.uuid)

    def value(self, data):
        if not self.socket:
            return self.tree.change(self.path, CHAR, Value=data)
        try:
            self.socket.send(data)
        except OSError:
            self.device.link.lost += 1

    def closed(self):
        if self.watch:
            GLib.source_remove(self.watch)
            self.watch = 0
        if self.socket:
            self.socket.close()
            self.socket = None
            self.tree.change(self.path, CHAR, NotifyAcquired=False)
        self.listeners.clear()
        self.tree.change(self.path, CHAR, Notifying=False if "indicate" in self.flags else None)


def add_services(device):
    """The pen's table; handles differ from pen to pen."""
    habits = device.pen.habits
    handle = 0x0010 + len(device.pen.serial)
    table = [(long("180a"), INFORMATION, False)]
    if habits.decoy:
        table.append((VENDOR, PENTEL[3:], False))
    table.append((wire.SERVICE, tuple(reversed(PENTEL)) if habits.decoy else PENTEL, True))
    if not habits.claims_battery:
        table.append((long("180f"), ((LEVEL, ["read", "notify"]),), False))
    for uuid, chars, ours in table:
        service = f"{device.path}/service{handle:04x}"
        device.tree.add(service, {SERVICE: ({
            "UUID": uuid, "Primary": True, "Device": device.path, "Includes": [],
            "Handle": handle}, None, None)})
        for char, flags in chars:
            handle += 3
            path = f"{service}/char{handle:04x}"
            device.bluez.chars.append(Char(device, path, char, list(flags), service, ours))
        handle += 5


class Bluez:
    """Owns org.bluez while it lives."""

    def __init__(self, tree, pens, adapters):
        self.tree, self.pens = tree, pens
        self.chars, self.watched = [], {}
        tree.add("/org/bluez", {AGENTS: ({}, self.agents, None)})
        self.adapters = [Adapter(self, i, a) for i, a in adapters]
        GLib.timeout_add(4, self.poll)

    def poll(self):
        for pen in self.pens:
            pen.poll()
        return not self.tree.connection.is_closed()

    def agents(self, method, call):
        call.reply()

    def watch(self, sender):
        """Whoever leaves the bus takes its discoveries and notifications along."""
        if sender in self.watched:
            return

        def changed(connection, a, path, interface, signal, arguments, *user):
            if arguments.unpack()[2] == "":
                for adapter in self.adapters:
                    if sender in adapter.discovering:
                        adapter.stop(sender)
                for char in self.chars:
                    char.gone(sender)

        self.watched[sender] = self.tree.connection.signal_subscribe(
            "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged",
            "/org/freedesktop/DBus", sender, 0, changed)
