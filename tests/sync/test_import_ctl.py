# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pentelctl import against running sinks: the files go over the bus as descriptors."""

import json
import os
import signal
import subprocess
import threading
import time

import jsonschema
from gi.repository import Gio, GLib

import bench as b
import fake
import files
import sets
from bench import check, same
from test_import import GOOD, importer, stick

SCHEMA = json.loads((b.HERE.parent.parent / "client/ctl/schema/import.json").read_text())
NOBODY = 65534
# Exit codes of pentelctl.
USAGE, NO_PERMISSION, NOT_FOUND, ALTERED = 2, 4, 5, 9


def ctl(bench, *words, code=0, user=None):
    done = bench.ctl("import", *words, code=code, user=user)
    check(code != 0 or done.stderr == "", f"{words}: {done.stderr!r}")
    return done


def as_json(bench, *words, code=0):
    out = json.loads(ctl(bench, *words, "--json", code=code).stdout)
    jsonschema.validate(out, SCHEMA)
    return out


def start(bench, name="out", more="poll-s=60"):
    """A sink that runs, where penteld tells nothing."""
    path = importer(bench, name, more=more)
    service = bench.service(name)
    bench.wait(lambda: bench.try_status(name), 20, "the sink")
    return path, service


def carries(bench):
    """From the stick to a sink that runs, without a word to penteld; the stick may go at once."""
    penteld, ids, path = stick(bench, 120)
    penteld.stop()
    out, service = start(bench)
    text = " ".join(ctl(bench, path).stdout.split())
    check("120 deliveries, 120 new, 0 refused" in text and "1 sets, 120 new deliveries to out" in text, text)
    path.rename(bench.directory / "pulled out")
    bench.wait(lambda: bench.status("out")["delivered"] == 120, 30, "all of it")
    check("penteld" in bench.status("out")["last_error"], "penteld is not missed")
    again = as_json(bench, bench.directory / "pulled out", "out")
    same("again", [True, 0], [again["sets"][0]["known"], again["new"]])
    same("exit", 0, bench.end(service))
    files.compare(out, penteld, with_open=True)


def unbound(bench):
    """One without a patient is listed with the gateway where the reference is to be given."""
    id = fake.uuid.uuid4()
    directory = sets.make(bench.directory / "stick", "2026-11-24-001",
                          [sets.delivery(str(id), state=dict(GOOD, patient=""))])
    bench.penteld()
    start(bench)
    ctl(bench, directory.parent)
    bench.wait(lambda: bench.status("out")["unbound"] == 1, 20, "the one")
    entry, = bench.status("out")["entries"]
    same("the one", [str(id), "room-9"], [entry["session"], entry["gateway"]])
    check("on gateway room-9" in entry["text"], f"no remedy: {entry}")
    shown = subprocess.run([str(b.CTL), "sync"], env=bench.env, capture_output=True, text=True, timeout=30)
    check("on gateway room-9" in " ".join(shown.stdout.split()), shown.stdout)


def refuses(bench):
    """Which sink, which directory, what is damaged: one line and a code of its own."""
    penteld, ids, path = stick(bench, 3)
    for i in range(2):
        penteld.annotate(ids[i], note=f"n{i}")
        bench.once("stick")
    check("no sink runs" in ctl(bench, path, code=NOT_FOUND).stderr, "no remedy")
    out, _ = start(bench)
    check("no sink of that name" in ctl(bench, path, "nowhere", code=NOT_FOUND).stderr, "no remedy")
    check("no sealed sets" in ctl(bench, bench.directory, code=NOT_FOUND).stderr, "no remedy")
    check("/nonexistent" in ctl(bench, "/nonexistent", code=NOT_FOUND).stderr, "no remedy")
    ctl(bench, code=USAGE)
    ctl(bench, "a", "b", "c", code=USAGE)
    broken = sets.copy(path, bench.directory / "broken")
    second = sets.of(broken)[1]
    (second / "sessions.ndjson").write_text("{}\n")
    done = ctl(bench, broken, code=ALTERED)
    check(f"{second.name}/sessions.ndjson is not what" in " ".join(done.stdout.split()), done.stdout)
    done = as_json(bench, broken, "out", code=ALTERED)
    same("sets", [None, True, None], [bool(s["refusal"]) or None for s in done["sets"]])
    bench.wait(lambda: bench.status("out")["delivered"] == 3, 20, "the sound ones")
    start(bench, "two")
    check("several sinks" in ctl(bench, path, code=USAGE).stderr, "no remedy")
    same("new", 5, as_json(bench, path, "two")["new"])
    bench.wait(lambda: bench.status("two")["delivered"] == 3, 20, "all")


def denied(bench):
    """Without polkit only root may."""
    if os.getuid() != 0:
        return "skipped: needs root"
    penteld, _, path = stick(bench, 1)
    penteld.stop()
    start(bench)
    os.chmod(path, 0o755)
    for file in path.glob("*/**"):
        os.chmod(file, 0o755)
    for file in path.glob("*/*"):
        os.chmod(file, 0o644)
    ctl(bench, path, "out", code=NO_PERMISSION, user=NOBODY)
    same("taken", 0, bench.status("out")["waiting"] + bench.status("out")["delivered"])
    return None


class Caller:
    """Import called by somebody who is not pentelctl."""

    def __init__(self, bench):
        self.bus = Gio.DBusConnection.new_for_address_sync(
            bench.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
            Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)

    def call(self, name, fds, before="", after="", indices=None):
        """fds: name to descriptor. The result, or the name of the error."""
        handed = Gio.UnixFDList.new()
        files = {key: handed.append(fd) for key, fd in fds.items()}
        files.update(indices or {})
        arguments = GLib.Variant("(sssa{sh})", (name, before, after, files))
        try:
            reply, _ = self.bus.call_with_unix_fd_list_sync(
                "org.pentel.Sync.out", "/org/pentel/sync", "org.pentel.Sync1", "Import", arguments,
                None, Gio.DBusCallFlags.NONE, 30000, handed, None)
            return reply.unpack()[0]
        except GLib.Error as error:
            return Gio.DBusError.get_remote_error(error)


def hostile(bench):
    """Names, descriptors and kinds of files that no set has: an answer, and it goes on."""
    _, ids, path = stick(bench, 1)
    out, service = start(bench)
    caller = Caller(bench)
    directory, = sets.of(path)
    good = {file.name: os.open(file, os.O_RDONLY) for file in directory.iterdir()}
    bad = "org.pentel.Error.InvalidArgument"
    same("a path for a name", bad, caller.call("../../x", good))
    same("no set's name", bad, caller.call("2026-11-24-0", good))
    same("a path for a file", bad, caller.call("2026-11-24-001", {"a/b": good["anchor.json"]}))
    same("no name", bad, caller.call("2026-11-24-001", {"": good["anchor.json"]}))
    same("no descriptor", bad, caller.call("2026-11-24-001", good, indices={"x": 99}))
    same("another before", bad, caller.call("2026-11-24-001", good, before="/etc"))
    check("SHA256SUMS" in caller.call("2026-11-24-001", {})["refusal"], "nothing was taken")
    reading, writing = os.pipe()
    for name, fd in (("a pipe", reading), ("a device", os.open("/dev/zero", os.O_RDONLY)),
                     ("a directory", os.open("/", os.O_RDONLY)), ("not for reading", os.open(
                         bench.directory / "w", os.O_WRONLY | os.O_CREAT))):
        for key in ("deliveries.pb", "SHA256SUMS", "anchor.json"):
            answer = caller.call("2026-11-24-001", {**good, key: fd})
            check(isinstance(answer, dict) and key in answer["refusal"], f"{name} as {key}: {answer}")
    same("sound all the same", 1, caller.call("2026-11-24-001", {**good, "/before": reading})["new"])
    bench.wait(lambda: bench.status("out")["delivered"] == 1, 20, "the one")
    same("exit", 0, bench.end(service))


def busy(bench):
    """Two at once: one is asked to wait; a sink that is ended in the middle loses nothing."""
    directory = sets.make(bench.directory / "stick", "2026-11-24-001", [
        sets.delivery(str(fake.uuid.uuid4()), state=dict(GOOD, note="x" * 1_000_000)) for _ in range(60)])
    bench.penteld()
    out, service = start(bench)
    descriptors = {file.name: os.open(file, os.O_RDONLY) for file in directory.iterdir()}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(
        Caller(bench).call("2026-11-24-001", descriptors))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    good = [a for a in answers if isinstance(a, dict)]
    check(len(answers) == 4 and good and sum(a["new"] for a in good) == 60, f"{answers}")
    check(all(a == "org.pentel.Error.Busy" for a in answers if not isinstance(a, dict)), f"{answers}")
    bench.wait(lambda: bench.status("out")["delivered"] == 60, 60, "all of it")
    more = sets.make(bench.directory / "stick2", "2026-11-24-001", [
        sets.delivery(str(fake.uuid.uuid4()), state=dict(GOOD, note="x" * 1_000_000)) for _ in range(60)])
    program = bench.spawn("ctl", b.CTL, "import", more.parent)
    time.sleep(0.15)
    check(bench.end(service, signal.SIGTERM) == 0, "it did not end in order")
    program.wait(30)
    bench.service("out")
    bench.wait(lambda: bench.try_status("out"), 20, "the sink")
    ctl(bench, more.parent)
    bench.wait(lambda: bench.status("out")["delivered"] == 120, 60, "all of it")


TESTS = [carries, unbound, refuses, denied, hostile, busy]

if __name__ == "__main__":
    b.main(TESTS, 170)
