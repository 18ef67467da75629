# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A penteld of which only Log1 is there, and what it holds can be changed at will: what
pentel-sync is tested against. Writes the journal with an encoder of its own."""

import hashlib
import os
import threading
import time
import uuid
from pathlib import Path

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
XML = (ROOT / "proto/dbus/org.pentel.xml").read_text()
PATH = "/org/pentel/manager"
EPOCH_US = 1_764_000_000_000_000


def varint(value):
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def field(number, value):
    """A protobuf field: int as varint, bytes and str with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def delimited(message):
    return varint(len(message)) + message


def rfc3339(wall_us):
    ms = wall_us // 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


# Of the whole session alone.
WORDS = ("patient", "operator", "note", "reaction", "order")
ANNOTATION = {"patient": 1, "operator": 2, "zone": 3, "note": 4, "pass": 5,
              "reaction": 6, "order": 7}


class Entry:
    def __init__(self, seq, store_id, wall_us, session, number, content, previous):
        self.seq, self.store_id, self.wall_us, self.session = seq, store_id, wall_us, session
        self.number, self.content, self.is_erased = number, content, False
        self.hash = hashlib.sha256(previous + self.frame() + content).digest()

    def frame(self):
        frame = field(1, self.seq) + field(2, self.store_id) + field(3, self.wall_us)
        return frame + field(4, 1) + field(5, 1000) + (field(6, self.session) if self.session else b"")

    def encode(self, has_hash):
        out = self.frame() + (field(7, self.hash) if has_hash else b"")
        if self.is_erased:
            return out + field(8, 1)
        return out + field(self.number, self.content)


def variant(value):
    """A value for a{sv}: int is t, unless it is said to be another."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("t", value)
    if isinstance(value, float):
        return GLib.Variant("d", value)
    if isinstance(value, str):
        return GLib.Variant("s", value)
    if isinstance(value, dict):
        return GLib.Variant("a{sv}", {key: variant(item) for key, item in value.items()})
    if value and isinstance(value[0], dict):
        return GLib.Variant("aa{sv}", [{k: variant(v) for k, v in item.items()} for item in value])
    return GLib.Variant("as", value)


def depth(base):
    return {"min": base, "median": base + 100, "p95": base + 200, "max": base + 250, "mean": base + 110}


class Penteld:
    """Call it from any thread; it answers in one of its own."""

    def __init__(self, address, has_hash=True):
        self.address, self.has_hash = address, has_hash
        self.store_id = str(uuid.uuid4())
        self.entries, self.sessions, self.raw = [], {}, {}
        self.lock = threading.RLock()
        self.clock_us = EPOCH_US
        self.calls = {"ReadJournal": 0, "GetSession": 0, "StreamSession": 0}
        self.get_error = None      # org.pentel.Error.X that GetSession answers with
        self.bad = {}              # session to the org.pentel.Error.X that GetSession answers with
        self.cut_after = None      # entries after which ReadJournal's pipe ends
        self.on_get = None         # called with the id before GetSession answers
        self.context = self.loop = self.thread = self.bus = None

    # The bus.

    def start(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        if not ready.wait(10):
            raise RuntimeError("the fake penteld did not start")
        return self

    def _run(self, ready):
        self.context = GLib.MainContext.new()
        self.context.push_thread_default()
        self.bus = Gio.DBusConnection.new_for_address_sync(
            self.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
            Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.bus.set_exit_on_close(False)
        interface = Gio.DBusNodeInfo.new_for_xml(XML).lookup_interface("org.pentel.Log1")
        self.bus.register_object(PATH, interface, self._on_call, self._on_get, None)
        self.bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                           "RequestName", GLib.Variant("(su)", ("org.pentel", 4)), None,
                           Gio.DBusCallFlags.NONE, -1, None)
        self.loop = GLib.MainLoop.new(self.context, False)
        ready.set()
        self.loop.run()
        self.bus.close_sync(None)
        self.context.pop_thread_default()

    def stop(self):
        if self.loop is not None:
            self.loop.quit()
            self.thread.join(10)
            self.loop = self.bus = None

    def _on_get(self, _bus, _sender, _path, _interface, name):
        with self.lock:
            return {"StoreId": GLib.Variant("s", self.store_id),
                    "Head": GLib.Variant("t", len(self.entries))}[name]

    def _on_call(self, _bus, _sender, _path, _interface, method, arguments, invocation):
        self.calls[method] = self.calls.get(method, 0) + 1
        if method == "ReadJournal":
            self._read_journal(arguments.unpack()[0], invocation)
        elif method == "GetSession":
            self._get_session(arguments.unpack()[0], invocation)
        elif method == "StreamSession":
            self._stream(arguments.unpack()[0], invocation)
        else:
            invocation.return_dbus_error("org.pentel.Error.Failed", "not in the fake")

    def _pipe(self, invocation, head, chunks):
        ours, theirs = os.pipe()
        fds = Gio.UnixFDList.new_from_array([ours])
        invocation.return_value_with_unix_fd_list(GLib.Variant(*head), fds)

        def write():
            try:
                for chunk in chunks:
                    os.write(theirs, chunk)
            except OSError:
                pass
            os.close(theirs)
        threading.Thread(target=write, daemon=True).start()

    def _read_journal(self, after, invocation):
        with self.lock:
            entries = self.entries[after:]
            if self.cut_after is not None:
                entries, self.cut_after = entries[:self.cut_after], None
            chunks = [delimited(entry.encode(self.has_hash)) for entry in entries]
            head = len(self.entries)
        self._pipe(invocation, ("(sth)", (self.store_id, head, 0)), chunks)

    def _get_session(self, id, invocation):
        if self.on_get is not None:
            self.on_get(id)
        with self.lock:
            if self.get_error is not None:
                invocation.return_dbus_error(f"org.pentel.Error.{self.get_error}", "as told")
            elif id in self.bad:
                invocation.return_dbus_error(f"org.pentel.Error.{self.bad[id]}", "cannot be read")
            elif id not in self.sessions:
                invocation.return_dbus_error("org.pentel.Error.NotFound", "no such session")
            else:
                state = {key: variant(value) for key, value in self.sessions[id].items()
                         if not key.startswith("_")}
                invocation.return_value(GLib.Variant("(a{sv})", (state,)))

    def _stream(self, id, invocation):
        with self.lock:
            chunks = [delimited(field(2, record)) for record in self.raw.get(id, [])]
        self._pipe(invocation, ("(h)", (0,)), chunks)

    # What it holds.

    def _append(self, session, number, content, wall_us=None):
        with self.lock:
            self.clock_us += 1_000_000
            previous = self.entries[-1].hash if self.entries else b""
            self.entries.append(Entry(len(self.entries) + 1, self.store_id, wall_us or self.clock_us,
                                      session, number, content, previous))
            head = len(self.entries)
        bus = self.bus
        if bus is not None:
            changed = ("org.pentel.Log1", {"Head": GLib.Variant("t", head)}, [])
            bus.emit_signal(None, PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                            GLib.Variant("(sa{sv}as)", changed))
        return head

    def add(self, id=None, n_records=100, missing=(), pen="PT-0001", passes=2, state="complete",
            wall_us=None, **more):
        """A session, or a later state of one; returns its id."""
        id = id or str(uuid.uuid4())
        start_us = EPOCH_US + 3_600_000_000
        session = {
            "id": id, "pen": pen, "started_at": rfc3339(start_us),
            "ended_at": rfc3339(start_us + 600_000_000),
            "time_error_ms": GLib.Variant("u", 5), "elapsed_ms": 600_000, "contact_ms": 300_000,
            "pass_count": GLib.Variant("u", passes), "depth_um": depth(500), "state": state,
            "records": {"log": "00000000000000aa", "first": GLib.Variant("u", 1),
                        "last": GLib.Variant("u", n_records),
                        "missing": GLib.Variant("a(uus)", list(missing))},
            "zones": GLib.Variant("as", []), "seq": len(self.entries) + 1,
            "passes": GLib.Variant("aa{sv}", [
                {k: variant(v) for k, v in {
                    "index": GLib.Variant("u", i + 1), "started_at": rfc3339(start_us + i * 60_000_000),
                    "elapsed_ms": 50_000, "contact_ms": 40_000, "depth_um": depth(400 + i),
                    "rate_hz": 100.5, "punctures_estimate": 48_000, "incomplete": False}.items()}
                for i in range(passes)]),
            "settings": [{"at": rfc3339(start_us), "depth_um": GLib.Variant("u", 500)}],
            "cartridges": [{"id": "C-1", "lot": "L-7", "expiry": "2027-01-31",
                            "needles": GLib.Variant("u", 12), "at": rfc3339(start_us)}],
            "faults": [{"at": rfc3339(start_us), "code": GLib.Variant("u", 3), "text": "stalled"}],
            "receipt": {"sha256": hashlib.sha256(f"{id}{n_records}".encode()).hexdigest(),
                        "first": GLib.Variant("u", 1), "last": GLib.Variant("u", n_records)},
            "definition": "pass/1", "end_cause": "operator"}
        with self.lock:
            kept = {k: self.sessions[id][k] for k in (*WORDS, "_own", "_zone")
                    if id in self.sessions and k in self.sessions[id]}
            self.sessions[id] = {**session, **kept, **more}
            self._set_zones(self.sessions[id])
            n_here = n_records - sum(b - a + 1 for a, b, _ in missing)
            self.raw[id] = [bytes([i % 251]) * 20 for i in range(n_here)]
        self._append(id, 10, field(1, state) + field(2, "pass/1") + field(3, b"\1" * 32), wall_us)
        return id

    @staticmethod
    def _set_zones(session):
        """A pass has its own zone, else that of the session."""
        own, whole = session.get("_own", {}), session.get("_zone")
        passes = [{k: v for k, v in item.items() if k != "zone"} for item in session["passes"].unpack()]
        for item in passes:
            zone = own.get(item["index"]) or whole
            item.update({"zone": zone} if zone else {})
        session["passes"] = GLib.Variant("aa{sv}", [
            {k: GLib.Variant("u", v) if k == "index" else variant(v) for k, v in item.items()}
            for item in passes])
        session["zones"] = GLib.Variant("as", sorted({z for z in [*own.values(), whole] if z}))

    def annotate(self, id, wall_us=None, **fields):
        """patient, operator, note, reaction, order, zone; "" takes back; with pass= the zone is of that pass."""
        with self.lock:
            session = self.sessions[id]
            for key in WORDS:
                if fields.get(key):
                    session[key] = fields[key]
                elif key in fields:
                    session.pop(key, None)
            if "zone" in fields:
                own = session.setdefault("_own", {})
                if "pass" in fields:
                    own[fields["pass"]] = fields["zone"]
                else:
                    session["_zone"] = fields["zone"]
                self._set_zones(session)
        content = b"".join(field(ANNOTATION[key], value) for key, value in fields.items())
        return self._append(id, 11, content, wall_us)

    def erase(self, id):
        with self.lock:
            self.sessions[id] = {"id": id, "state": "erased",
                                 "records": self.sessions[id].get("records", {})}
            self.raw.pop(id, None)
            for entry in self.entries:
                if entry.session == id:
                    entry.is_erased = True
        return self._append(id, 15, b"")

    def become_another_store(self):
        """As a restored or salvaged one: the same content under another id, renumbered."""
        with self.lock:
            old, self.entries, self.store_id = self.entries, [], str(uuid.uuid4())
            for entry in old:
                self._append(entry.session, entry.number, entry.content, entry.wall_us)

    def snapshot(self):
        """What it holds now: id to the session as a reader of a{sv} sees it."""
        with self.lock:
            return {id: {key: variant(value).unpack() for key, value in session.items()
                         if not key.startswith("_")}
                    for id, session in self.sessions.items() if session["state"] != "erased"}
