# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A gateway of a few lines, independent of penteld: what the radio and pensim do alone."""
import os
import struct

from gi.repository import Gio, GLib

from harness import Failure

FEATURE = "52797f01-bc08-4935-9e95-12fdb4ca7483"
LIVE = "52797f02-bc08-4935-9e95-12fdb4ca7483"
STORED = "52797f03-bc08-4935-9e95-12fdb4ca7483"
RACP = "00002a52-0000-1000-8000-00805f9b34fb"
SERVICE = "52797f00-bc08-4935-9e95-12fdb4ca7483"
DEVICE, CHRC = "org.bluez.Device1", "org.bluez.GattCharacteristic1"


class Central:
    """One adapter's side of a link."""

    def __init__(self, rig, adapter):
        self.rig = rig
        self.adapter = f"/org/bluez/{adapter}"
        self.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        self.device = None
        self.indications = []
        self.watched = set()

    def call(self, path, interface, method, args=None, timeout_s=40):
        return self.bus.call_sync("org.bluez", path, interface, method, args, None,
                                  Gio.DBusCallFlags.NONE, timeout_s * 1000)

    def call_error(self, *args, **more):
        """The name and text of the error that a call must give; None when it succeeds."""
        try:
            self.call(*args, **more)
        except GLib.Error as error:
            return f"{Gio.DBusError.get_remote_error(error)}: {error.message}"
        return None

    def discover(self, timeout=20):
        """The first pen that this adapter hears."""
        filters = GLib.Variant("(a{sv})", ({"Transport": GLib.Variant("s", "le"),
                                            "UUIDs": GLib.Variant("as", [SERVICE])},))
        self.call(self.adapter, "org.bluez.Adapter1", "SetDiscoveryFilter", filters)
        self.call(self.adapter, "org.bluez.Adapter1", "StartDiscovery")
        try:
            self.device = self.rig.wait(self._heard, timeout, "a pen to be discovered")
        finally:
            self.call(self.adapter, "org.bluez.Adapter1", "StopDiscovery")
        return self.device

    def _heard(self):
        for path, faces in self.rig.bluez_objects().items():
            device = faces.get(DEVICE, {})
            if path.startswith(self.adapter + "/") and SERVICE in device.get("UUIDs", []):
                return path
        return None

    def property(self, name):
        return self.rig.bluez_objects().get(self.device, {}).get(DEVICE, {}).get(name)

    def pair(self):
        self.call(self.device, DEVICE, "Pair")
        self.wait_resolved()

    def connect(self):
        self.call(self.device, DEVICE, "Connect")
        self.wait_resolved()

    def disconnect(self):
        self.call(self.device, DEVICE, "Disconnect")
        self.rig.wait(lambda: not self.property("Connected"), 10, "the link to end")

    def wait_resolved(self):
        self.rig.wait(lambda: self.property("ServicesResolved") and self.find(RACP), 20,
                      "the pen's services")

    def find(self, uuid):
        for path, faces in self.rig.bluez_objects().items():
            if path.startswith(self.device + "/") and faces.get(CHRC, {}).get("UUID") == uuid:
                return path
        return None

    def read(self, uuid):
        reply = self.call(self.find(uuid), CHRC, "ReadValue", GLib.Variant("(a{sv})", ({},)))
        return bytes(reply.unpack()[0])

    def write(self, uuid, data):
        self.call(self.find(uuid), CHRC, "WriteValue", GLib.Variant("(aya{sv})", (data, {})))

    def acquire(self, uuid):
        reply, fds = self.bus.call_with_unix_fd_list_sync(
            "org.bluez", self.find(uuid), CHRC, "AcquireNotify", GLib.Variant("(a{sv})", ({},)), None,
            Gio.DBusCallFlags.NONE, 10000, None)
        return fds.get(reply.unpack()[0])

    def start_notify(self, uuid):
        def on_changed(bus, sender, path, interface, signal, args):
            changed = args.unpack()[1]
            if "Value" in changed:
                self.indications.append(bytes(changed["Value"]))
        path = self.find(uuid)
        if path not in self.watched:
            self.watched.add(path)
            self.bus.signal_subscribe("org.bluez", "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                      path, None, Gio.DBusSignalFlags.NONE, on_changed)
        self.call(path, CHRC, "StartNotify")

    def spin(self):
        while GLib.MainContext.default().iteration(False):
            pass


def numbers(fd, seconds, rig, until=None):
    """Record numbers as they come out of a notification socket, single segments only."""
    found, controls = [], 0

    def drain():
        nonlocal controls
        while True:
            try:
                segment = os.read(fd, 600)
            except BlockingIOError:
                break
            if not segment:
                raise Failure("the socket ended")
            if segment[0] & 3 != 3:
                raise Failure("a record in several segments")
            number, = struct.unpack_from("<I", segment, 7)
            if number:
                found.append(number)
            else:
                controls += 1
        return until is not None and until(found, controls)
    rig.wait(drain, seconds, f"records; came: {len(found)}")
    return found
