# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""D-Bus objects with an ObjectManager at "/", for a program that poses as bluetoothd."""

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
XML = """<node>
<interface name="org.freedesktop.DBus.ObjectManager">
 <method name="GetManagedObjects"><arg type="a{oa{sa{sv}}}" direction="out"/></method>
 <signal name="InterfacesAdded"><arg type="o"/><arg type="a{sa{sv}}"/></signal>
 <signal name="InterfacesRemoved"><arg type="o"/><arg type="as"/></signal>
</interface>
<interface name="org.bluez.Adapter1">
 <method name="StartDiscovery"/><method name="StopDiscovery"/>
 <method name="SetDiscoveryFilter"><arg type="a{sv}" direction="in"/></method>
 <method name="GetDiscoveryFilters"><arg type="as" direction="out"/></method>
 <method name="RemoveDevice"><arg type="o" direction="in"/></method>
 <property name="Address" type="s" access="read"/>
 <property name="AddressType" type="s" access="read"/>
 <property name="Name" type="s" access="read"/>
 <property name="Alias" type="s" access="readwrite"/>
 <property name="Class" type="u" access="read"/>
 <property name="Powered" type="b" access="readwrite"/>
 <property name="Discoverable" type="b" access="readwrite"/>
 <property name="Pairable" type="b" access="readwrite"/>
 <property name="Discovering" type="b" access="read"/>
 <property name="UUIDs" type="as" access="read"/>
 <property name="Roles" type="as" access="read"/>
</interface>
<interface name="org.bluez.Device1">
 <method name="Connect"/><method name="Disconnect"/><method name="Pair"/>
 <method name="CancelPairing"/>
 <property name="Address" type="s" access="read"/>
 <property name="AddressType" type="s" access="read"/>
 <property name="Name" type="s" access="read"/>
 <property name="Alias" type="s" access="readwrite"/>
 <property name="Appearance" type="q" access="read"/>
 <property name="UUIDs" type="as" access="read"/>
 <property name="Paired" type="b" access="read"/>
 <property name="Bonded" type="b" access="read"/>
 <property name="Connected" type="b" access="read"/>
 <property name="Trusted" type="b" access="readwrite"/>
 <property name="Blocked" type="b" access="readwrite"/>
 <property name="LegacyPairing" type="b" access="read"/>
 <property name="RSSI" type="n" access="read"/>
 <property name="ServicesResolved" type="b" access="read"/>
 <property name="Adapter" type="o" access="read"/>
</interface>
<interface name="org.bluez.GattService1">
 <property name="UUID" type="s" access="read"/>
 <property name="Primary" type="b" access="read"/>
 <property name="Device" type="o" access="read"/>
 <property name="Includes" type="ao" access="read"/>
 <property name="Handle" type="q" access="read"/>
</interface>
<interface name="org.bluez.GattCharacteristic1">
 <method name="ReadValue"><arg type="a{sv}" direction="in"/><arg type="ay" direction="out"/>
 </method>
 <method name="WriteValue"><arg type="ay" direction="in"/><arg type="a{sv}" direction="in"/>
 </method>
 <method name="AcquireNotify"><arg type="a{sv}" direction="in"/>
  <arg type="h" direction="out"/><arg type="q" direction="out"/></method>
 <method name="StartNotify"/><method name="StopNotify"/>
 <property name="UUID" type="s" access="read"/>
 <property name="Service" type="o" access="read"/>
 <property name="Value" type="ay" access="read"/>
 <property name="Notifying" type="b" access="read"/>
 <property name="NotifyAcquired" type="b" access="read"/>
 <property name="Flags" type="as" access="read"/>
 <property name="Handle" type="q" access="read"/>
 <property name="MTU" type="q" access="read"/>
</interface>
<interface name="org.bluez.Battery1">
 <property name="Percentage" type="y" access="read"/>
</interface>
<interface name="org.freedesktop.timedate1">
 <property name="NTPSynchronized" type="b" access="read"/>
</interface>
<interface name="org.bluez.AgentManager1">
 <method name="RegisterAgent"><arg type="o" direction="in"/><arg type="s" direction="in"/>
 </method>
 <method name="UnregisterAgent"><arg type="o" direction="in"/></method>
 <method name="RequestDefaultAgent"><arg type="o" direction="in"/></method>
</interface>
</node>"""
INFO = Gio.DBusNodeInfo.new_for_xml(XML)


class Call:
    """A method call that waits for its one answer."""

    def __init__(self, invocation, sender, arguments):
        self.invocation, self.sender, self.arguments = invocation, sender, arguments

    def reply(self, signature=None, *values):
        invocation, self.invocation = self.invocation, None
        if invocation:
            invocation.return_value(GLib.Variant(signature, values) if signature else None)

    def reply_fd(self, fd, mtu):
        invocation, self.invocation = self.invocation, None
        fds = Gio.UnixFDList.new()
        fds.append(fd)
        invocation.return_value_with_unix_fd_list(GLib.Variant("(hq)", (0, mtu)), fds)

    def fail(self, name, text=""):
        invocation, self.invocation = self.invocation, None
        if invocation:
            name = name if "." in name else f"org.bluez.Error.{name}"
            invocation.return_dbus_error(name, text or name)


class Tree:
    """All objects. A property of None is one that is not there."""

    def __init__(self, connection):
        self.connection = connection
        self.objects, self.tickets = {}, {}
        self._register("/", MANAGER, self._manager)

    def _manager(self, method, call):
        known = {path: {name: self._dict(path, name) for name in names}
                 for path, names in self.objects.items()}
        call.reply("(a{oa{sa{sv}}})", known)

    def _variant(self, interface, name, value):
        kind = INFO.lookup_interface(interface).lookup_property(name).signature
        return GLib.Variant(kind, value)

    def _dict(self, path, interface):
        return {name: self._variant(interface, name, value)
                for name, value in self.objects[path][interface].items() if value is not None}

    def _register(self, path, interface, handler, setter=None):
        def called(connection, sender, at, name, method, arguments, invocation):
            handler(method, Call(invocation, sender, arguments.unpack()))

        def get(connection, sender, at, name, prop):
            value = self.objects.get(path, {}).get(interface, {}).get(prop)
            return None if value is None else self._variant(interface, prop, value)

        def put(connection, sender, at, name, prop, value):
            if setter:
                setter(prop, value.unpack())
            else:
                self.change(path, interface, **{prop: value.unpack()})
            return True

        ticket = self.connection.register_object(path, INFO.lookup_interface(interface),
                                                 called, get, put)
        self.tickets.setdefault(path, []).append(ticket)

    def add(self, path, interfaces):
        """interfaces: {name: (properties, handler, setter)}."""
        self.objects.setdefault(path, {})
        for name, (properties, handler, setter) in interfaces.items():
            self.objects[path][name] = properties
            self._register(path, name, handler, setter)
        added = {name: self._dict(path, name) for name in interfaces}
        self.emit("/", MANAGER, "InterfacesAdded", "(oa{sa{sv}})", path, added)

    def remove(self, path):
        names = list(self.objects.pop(path, {}))
        for ticket in self.tickets.pop(path, []):
            self.connection.unregister_object(ticket)
        if names:
            self.emit("/", MANAGER, "InterfacesRemoved", "(oas)", path, names)

    def below(self, path):
        return sorted((p for p in self.objects if p.startswith(path + "/")), reverse=True)

    def get(self, path, interface, name):
        return self.objects[path][interface].get(name)

    def change(self, path, interface, **values):
        """New values, told by PropertiesChanged; a value is told even when it is the same."""
        held = self.objects.get(path, {}).get(interface)
        if held is None:
            return
        new = {name: value for name, value in values.items()
               if held.get(name) != value or name == "Value"}
        held.update(new)
        changed = {name: self._variant(interface, name, value)
                   for name, value in new.items() if value is not None}
        gone = [name for name, value in new.items() if value is None]
        if changed or gone:
            self.emit(path, PROPERTIES, "PropertiesChanged", "(sa{sv}as)", interface, changed, gone)

    def emit(self, path, interface, signal, signature, *values):
        if self.connection.is_closed():
            return
        self.connection.emit_signal(None, path, interface, signal, GLib.Variant(signature, values))
