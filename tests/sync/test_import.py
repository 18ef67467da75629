# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Sealed sets carried to another sink: the same as if penteld had told them there, from any
machine, once, whatever the medium holds and whenever it is cut off."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import time
import uuid
from pathlib import Path

import bench as b
import fake
import files
import sets
from bench import check, same

# Exit code of --import.
REFUSED = 65


def stick(bench, n=6, name="stick", gateway="room-9", more="", **fake_more):
    """A gateway that has sealed its sessions on a stick: penteld, ids, the directory."""
    penteld = bench.penteld(**fake_more)
    ids = [penteld.add(pen=f"PT-{i % 3}") for i in range(n)]
    for id in ids:
        penteld.annotate(id, patient=f"P-{id[:4]}")
    path = bench.directory / name
    path.mkdir()
    bench.configure(name, f"[sink]\nkind=directory\ngateway={gateway}\n{more}\n[directory]\npath={path}\n")
    bench.once(name)
    return penteld, ids, path


def importer(bench, name="out", gateway="desk", more=""):
    """Another machine, which has no penteld."""
    path = bench.directory / name
    path.mkdir()
    bench.configure(name, f"[sink]\nkind=directory\ngateway={gateway}\n{more}\n[directory]\npath={path}\n")
    return path


def bring(bench, path, name="out", code=b.OK, env=None):
    env = dict(env or bench.env, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent")
    return bench.run(name, f"--import={path}", "--once", code=code, env=env)


def carried(bench, name="out"):
    """What is still kept of what was carried, by session."""
    with sqlite3.connect(bench.state(name) / "state.db") as db:
        return dict(db.execute("select session, state from carried"))


def holds_word(bench, word, name="out"):
    return any(word.encode() in file.read_bytes() for file in bench.state(name).iterdir() if file.is_file())


def gateways(path):
    return {json.loads(line)["gateway"] for directory in files.sets(path)
            for line in (directory / "sessions.ndjson").read_text().splitlines()}


def carries(bench):
    """On a machine without a bus: all of it, under the name of who recorded it, once."""
    penteld, ids, path = stick(bench, 200)
    out = importer(bench)
    done = bring(bench, path)
    check("1 sets, 200 new deliveries, 0 refused" in done.stdout, done.stdout)
    files.compare(out, penteld)
    same("gateways", {"room-9"}, gateways(out))
    same("kept", {}, carried(bench))
    check(not holds_word(bench, penteld.sessions[ids[0]]["patient"]), "a patient is left in the state")
    done = bring(bench, path)
    check("taken over before" in done.stdout and "0 new" in done.stdout, done.stdout)
    same("sets after the same stick", 1, len(files.sets(out)))


def newer_and_older(bench):
    """Corrections and an erasure come with the next stick; the old one changes nothing."""
    penteld, ids, path = stick(bench)
    old = sets.copy(path, bench.directory / "old")
    penteld.annotate(ids[0], note="late")
    penteld.add(ids[1], n_records=140)
    penteld.erase(ids[2])
    bench.once("stick")
    out = importer(bench)
    bring(bench, old)
    bring(bench, path)
    files.compare(out, penteld, erased=[ids[2]])
    n = len(files.sets(out))
    bring(bench, old)
    bring(bench, path)
    same("sets after the old stick", n, len(files.sets(out)))
    # In the other order, on yet another machine.
    other = importer(bench, "other")
    bring(bench, path, "other")
    with sqlite3.connect(bench.state("other") / "state.db") as db:
        db.execute("delete from carried_set")
    bring(bench, old, "other")
    files.compare(other, penteld, erased=[ids[2]])
    same("sets on the other", 1, len(files.sets(other)))
    files.check_chain(other)


def another_store(bench):
    """The gateway got another store, its numbers begin again: its clock tells what is newer."""
    penteld, ids, path = stick(bench)
    out = importer(bench)
    bring(bench, path)
    penteld.become_another_store()
    bench.once("stick")
    bring(bench, path)
    same("sets after the same again", 1, len(files.sets(out)))
    penteld.annotate(ids[0], note="in the new store")
    bench.once("stick")
    bring(bench, path)
    files.compare(out, penteld)


def unbound(bench):
    """Waits here with its content, says where the reference is to be given, goes when it came."""
    penteld, ids, path = stick(bench, 3)
    penteld.annotate(ids[1], patient="")
    bench.configure("send", f"[sink]\nkind=directory\ngateway=room-9\nunbound=send\n[directory]\npath={path}2\n")
    os.mkdir(f"{path}2")
    bench.once("send")
    path = bench.directory / "stick2"
    out = importer(bench)
    bring(bench, path)
    same("kept", [ids[1]], list(carried(bench)))
    files.compare(out, penteld)
    penteld.annotate(ids[1], patient="P-late")
    bench.once("send")
    bring(bench, path)
    files.compare(out, penteld)
    same("kept after all", {}, carried(bench))
    check(not holds_word(bench, "P-late"), "a patient is left in the state")


def erased_while_waiting(bench):
    """An erasure takes away what waits here of the session, also of another gateway."""
    penteld, ids, path = stick(bench, 2)
    penteld.annotate(ids[0], patient="", note="to be gone")
    bench.configure("send", f"[sink]\nkind=directory\ngateway=room-9\nunbound=send\n[directory]\npath={path}2\n")
    os.mkdir(f"{path}2")
    bench.once("send")
    out = importer(bench)
    bring(bench, bench.directory / "stick2")
    same("kept", [ids[0]], list(carried(bench)))
    gone = sets.make(bench.directory / "stick3", "2026-11-24-001",
                     [sets.delivery(ids[0], "room-8", erased=True)])
    bring(bench, gone.parent)
    same("kept after the erasure", {}, carried(bench))
    check(not holds_word(bench, "to be gone"), "the note is left in the state")
    same("the last word", None, files.read(out)[ids[0]])
    # And never comes back, whoever brings it.
    penteld.annotate(ids[0], patient="P-again", note="again")
    bench.once("send")
    bring(bench, bench.directory / "stick2")
    same("kept after it came again", {}, carried(bench))
    same("still the last word", None, files.read(out)[ids[0]])


def raw(bench):
    """The records ride along where they are there and wanted."""
    penteld, ids, path = stick(bench, 5, more="raw=yes")
    penteld.raw[ids[0]] = [os.urandom(90_000) for _ in range(100)]
    penteld.annotate(ids[0], note="nine megabytes")
    bench.once("stick")
    out = importer(bench, more="raw=yes")
    bring(bench, path)
    found = [files.fields(m)[2] for d in files.sets(out) for m in
             files.messages((d / "records.pb").read_bytes())]
    same("records", sorted(r for id in ids for r in penteld.raw[id]), sorted(found))
    same("kept", {}, carried(bench))
    without = importer(bench, "without")
    bring(bench, path, "without")
    check(not (files.sets(without)[0] / "records.pb").exists(), "records came though raw=no")
    files.compare(without, penteld)


def spoil_sums(directory):
    (directory / "sessions.ndjson").write_bytes(b"{}\n" + (directory / "sessions.ndjson").read_bytes())


def spoil_bit(directory):
    data = bytearray((directory / "deliveries.pb").read_bytes())
    data[len(data) // 2] ^= 1
    (directory / "deliveries.pb").write_bytes(data)


def spoil_end(directory):
    data = (directory / "deliveries.pb").read_bytes()
    (directory / "deliveries.pb").write_bytes(data[:-5])
    sets.reseal(directory)


def spoil_length(directory):
    with open(directory / "deliveries.pb", "ab") as file:
        file.write(fake.varint(4 << 30) + b"x" * 100)
    sets.reseal(directory)


def spoil_huge(directory):
    with open(directory / "deliveries.pb", "ab") as file:
        file.truncate((1 << 30) + 1)


def spoil_list(directory):
    (directory / "SHA256SUMS").write_bytes(b"\0" * 500)


def spoil_path(directory):
    with open(directory / "SHA256SUMS", "a") as file:
        file.write(f"{'0' * 64}  ../../etc/passwd\n")


def spoil_link(directory):
    (directory / "anchor.json").unlink()
    (directory / "anchor.json").symlink_to("/etc/hostname")


def spoil_pipe(directory):
    (directory / "deliveries.pb").unlink()
    os.mkfifo(directory / "deliveries.pb")


def spoil_anchor(directory):
    (directory / "anchor.json").write_text("{'\"':" + "[" * 30000)
    sets.reseal(directory)


SPOILS = {
    spoil_sums: ("sessions.ndjson", "SHA256SUMS says", "copy the set again"),
    spoil_bit: ("deliveries.pb", "SHA256SUMS says", "copy the set again"),
    spoil_end: ("SHA256SUMS", "was changed"),
    spoil_length: ("SHA256SUMS", "was changed"),
    spoil_huge: ("deliveries.pb", "larger"),
    spoil_list: ("SHA256SUMS", "damaged"),
    spoil_path: ("SHA256SUMS", "damaged"),
    spoil_link: ("anchor.json", "see that you may read it"),
    spoil_pipe: ("deliveries.pb", "no plain file"),
    spoil_anchor: ("anchor.json", "damaged"),
    (lambda d: (d / "SHA256SUMS").unlink()): ("SHA256SUMS", "torn", "copy the set again"),
    (lambda d: (d / "deliveries.pb").unlink()): ("deliveries.pb", "missing", "copy the set again"),
    (lambda d: (d / "sessions.ndjson").unlink()): ("sessions.ndjson", "missing", "copy the set again"),
    (lambda d: [(d / f"x{i}").write_text("") for i in range(20)]): ("more files",),
}


def damaged(bench):
    """One damaged set of three: one line that names file and remedy; the sound two arrive."""
    penteld, ids, path = stick(bench, 3)
    for i in range(2):
        penteld.annotate(ids[i + 1], note=f"n{i}")
        bench.once("stick")
    names = [d.name for d in sets.of(path)]
    same("sets", 3, len(names))
    for i, (spoil, words) in enumerate(SPOILS.items()):
        broken = sets.copy(path, bench.directory / "broken")
        spoil(broken / names[1])
        out = importer(bench, f"out{i}")
        done = bring(bench, broken, f"out{i}", code=REFUSED)
        lines = done.stderr.splitlines()
        check(len(lines) == 1 and names[1] in lines[0] and all(w in lines[0] for w in words),
              f"spoil {i}: {done.stderr!r}")
        found = files.read(out)
        same(f"spoil {i}: sessions", sorted(ids), sorted(found))
        same(f"spoil {i}: of the sound third", "n1", found[ids[2]].get("note"))
        check("note" not in found[ids[1]], f"spoil {i}: the damaged set was used")
        # The sound copy later brings what was missing.
        bring(bench, path, f"out{i}")
        files.compare(out, penteld)


def foreign(bench):
    """Sets of two directories in one; a set that is gone; a directory that has none."""
    penteld, ids, path = stick(bench, 2)
    other, other_ids, other_path = stick(bench, 2, "stick2", "room-8")
    for i in range(2):
        penteld.annotate(ids[0], note=f"n{i}")
        other.annotate(other_ids[0], note=f"n{i}")
        bench.once("stick")
        bench.once("stick2")
    names = [d.name for d in sets.of(path)]
    mixed = sets.copy(path, bench.directory / "mixed")
    sets.copy(other_path / names[1], mixed / names[1])
    out = importer(bench)
    done = bring(bench, mixed, code=REFUSED)
    check(f"{names[1]}/anchor.json does not follow" in done.stderr and done.stderr.count("\n") == 1, done.stderr)
    found = files.read(out)
    same("of the sound two", [sorted(ids), "n1"], [sorted(found), found[ids[0]]["note"]])
    # Two of one sink, as from before and after its medium was replaced.
    mixed = sets.copy(path, bench.directory / "mixed2")
    anchor = mixed / names[1] / "anchor.json"
    anchor.write_text(anchor.read_text().replace('"previous_sums_sha256":"', '"previous_sums_sha256":"00'))
    sets.reseal(mixed / names[1])
    importer(bench, "out3")
    done = bring(bench, mixed, "out3", code=REFUSED)
    check("two directories" in done.stderr and done.stderr.count("\n") == 2, done.stderr)
    gap = sets.copy(path, bench.directory / "gap")
    shutil.rmtree(gap / names[1])
    out = importer(bench, "out2")
    done = bring(bench, gap, "out2")
    check(f"{names[1]} was not taken over" in done.stdout, done.stdout)
    bring(bench, path, "out2")
    files.compare(out, penteld)
    # Sets that were carried before and cleared away are not missed.
    penteld.annotate(ids[1], note="last")
    bench.once("stick")
    tail = sets.copy(path, bench.directory / "tail")
    for name in names:
        shutil.rmtree(tail / name)
    done = bring(bench, tail, "out2")
    check("was not taken over" not in done.stdout, done.stdout)
    empty = bench.directory / "empty"
    empty.mkdir()
    b.expect_line(bench, bring(bench, empty, code=None), b.USAGE, "no sealed sets")
    b.expect_line(bench, bring(bench, "/nonexistent", code=None), b.USAGE, "/nonexistent")


GOOD = {"state": "complete", "patient": "P-1", "pen": "PT-1",
        "records": {"log": "aa", "first": 1, "last": 100, "missing": [[5, 9, "hole"]]},
        "passes": [{"index": 1, "contact_ms": 40000, "started_at": "2026-11-24T10:00:00.000Z"}]}


def hostile(bench):
    """Deliveries that a stranger wrote, under the right sums: refused alone, with the reason."""
    def id():
        return str(uuid.uuid4())
    sound = id()
    far = 2**62
    bad = {
        "no UUID": [sets.delivery("x" * 36, state=GOOD), sets.delivery("", state=GOOD),
                    sets.delivery("../../../../../etc/passwd", state=GOOD)],
        "which gateway": [sets.delivery(id(), "", state=GOOD), sets.delivery(id(), "a\nb", state=GOOD),
                          sets.delivery(id(), "g" * 300, state=GOOD)],
        "no place": [sets.delivery(id(), seq=2**64 - 1, state=GOOD), sets.delivery(id(), wall_us=far, state=GOOD),
                     sets.delivery(id(), fold_us=2**64 - 5, state=GOOD)],
        "at no time": [sets.delivery(id(), state=GOOD, said=[("patient", far)])],
        "not JSON": [sets.delivery(id(), state="{"), sets.delivery(id(), state="x")],
        "no JSON object": [sets.delivery(id(), state="[1]"), sets.delivery(id(), state="null"),
                           sets.delivery(id(), state="")],
        "too deep": [sets.delivery(id(), state='{"a":' + "[" * 400_000),
                     sets.delivery(id(), state="{'\"':" + "[" * 100_000)],
        "more than a session": [sets.delivery(id(), state='{"a":[' + "1," * 4_000_000 + "1]}")],
        "UTF-8": [sets.delivery(id(), state=b'{"note":"\xff"}')],
        "of another kind": [sets.delivery(id(), state=dict(GOOD, passes=5)),
                            sets.delivery(id(), state=dict(GOOD, patient=5)),
                            sets.delivery(id(), state=dict(GOOD, pen={"a": 1})),
                            sets.delivery(id(), state=dict(GOOD, passes=[{"rate_hz": "x"}])),
                            sets.delivery(id(), state=dict(GOOD, passes=[{"rate_hz": -0.5}])),
                            sets.delivery(id(), state=dict(GOOD, pass_count=-1)),
                            sets.delivery(id(), state=dict(GOOD, elapsed_ms=1.5))],
        "another kind": [sets.delivery(id(), state=dict(GOOD, passes=[1, 2])),
                         sets.delivery(id(), state=dict(GOOD, zones=[[1]]))],
        "than ranges": [sets.delivery(id(), state=dict(GOOD, records={"missing": [m]}))
                        for m in ([1, 2], [1, 2**40, "x"], [-1, 2, "x"], [1, 2, 3], "x")],
        "another session": [sets.delivery(id(), state=dict(GOOD, id=id()))],
        "no delivery": [b"\xff" * 50, field_bomb()],
        "not where": [sets.delivery(id(), state=GOOD, records_at=2**63, records_bytes=2**63),
                      sets.delivery(id(), state=GOOD, records_at=1, records_bytes=2**40)],
        "no number": [sets.delivery(id(), state='{"passes":[{"rate_hz":1e999}]}'),
                      sets.delivery(id(), state='{"unknown":-1e999}')],
        "not whole": [sets.delivery(id(), state=GOOD, records_at=0, records_bytes=5)],
    }
    messages = [m for group in bad.values() for m in group]
    messages.insert(3, sets.delivery(sound, state=GOOD, said=[("state", 5), ("zone:0", 5), ("note", 5)]))
    directory = sets.make(bench.directory / "stick", "2026-11-24-001", messages, records=fake.delimited(b"r" * 20))
    out = importer(bench, more="raw=yes")
    done = bring(bench, directory.parent, code=REFUSED)
    n = len(messages) - 1
    check(f"1 new deliveries, {n} refused" in done.stdout, done.stdout)
    same("arrived", [sound], list(files.read(out)))
    message, = files.messages((files.sets(out)[0] / "deliveries.pb").read_bytes())
    same("of what was said only what can be", b"note", files.fields(files.fields(message)[9])[1])
    same("things said", 1, message.count(fake.field(3, 1000)))
    check(done.stderr.count("\n") <= 22 and f"and {n - 20} more" in done.stderr, done.stderr)
    # Each alone, so that each reason is seen.
    for i, (words, group) in enumerate(bad.items()):
        directory = sets.make(bench.directory / f"bad{i}", "2026-11-24-001", group,
                              records=fake.delimited(b"r" * 20))
        done = bring(bench, directory.parent, code=REFUSED)
        lines = done.stderr.splitlines()
        check(len(lines) == len(group) and all(words in line for line in lines), f"{words}: {done.stderr!r}")
    # Again: it is not forgotten that some were refused.
    done = bring(bench, directory.parent, code=REFUSED)
    return f"{n} refused"


def field_bomb():
    """A message of 4 MiB that is two million words said."""
    return fake.field(1, str(uuid.uuid4())) + fake.field(9, b"") * 2_000_000


def malformed(bench):
    """The right sums over what is no stream of deliveries: the whole set is refused."""
    for i, rest in enumerate((fake.varint(4 << 30) + b"x" * 50, b"\xff" * 20, fake.varint(500) + b"x")):
        path = bench.directory / f"stick{i}"
        sets.make(path, "2026-11-24-001", [sets.delivery(str(uuid.uuid4()), state=GOOD), bytearray(rest)])
        importer(bench, f"out{i}")
        done = bring(bench, path, f"out{i}", code=REFUSED)
        check("deliveries.pb" in done.stderr and done.stderr.count("\n") == 1, done.stderr)
        same("arrived", [], files.sets(bench.directory / f"out{i}"))


def bounded(bench):
    """A set of 100 MiB in little memory."""
    ids = [str(uuid.uuid4()) for _ in range(20)]
    directory = sets.make(bench.directory / "stick", "2026-11-24-001", [
        sets.delivery(id, state=dict(GOOD, note="x" * 5_000_000)) for id in ids])
    importer(bench)
    program = bench.spawn("peak", *bench.argv("out", "--once", f"--import={directory.parent}"))
    end, peak_mib = time.monotonic() + 60, 0
    while program.poll() is None:
        check(time.monotonic() < end, "it takes too long")
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{program.pid}/status").read_text()
            peak_mib = max([peak_mib, *(int(kb) >> 10 for kb in re.findall(r"VmHWM:\s*(\d+)", status))])
        time.sleep(0.01)
    same("exit", 0, program.returncode)
    same("arrived", sorted(ids), sorted(files.read(bench.directory / "out")))
    limit_mib = 400 if b"__asan_" in b.SYNC.read_bytes() else 150
    check(0 < peak_mib < limit_mib, f"{peak_mib} MiB")
    return f"{peak_mib} MiB at most"


def same_machine(bench):
    """A gateway's own old stick does not undo what its journal has told since."""
    penteld, ids, path = stick(bench)
    old = sets.copy(path, bench.directory / "old")
    out = importer(bench, gateway="room-9")
    bench.once("out")
    penteld.annotate(ids[0], note="later")
    bench.once("out")
    n = len(files.sets(out))
    done = bring(bench, old)
    check("0 new deliveries" in done.stdout, done.stdout)
    same("sets", n, len(files.sets(out)))
    files.compare(out, penteld)
    # And where the store of penteld was lost, the stick has it.
    lost = importer(bench, "lost", gateway="room-9")
    penteld.sessions.clear()
    penteld.entries.clear()
    penteld.store_id = str(uuid.uuid4())
    bench.once("lost")
    bring(bench, old, "lost")
    same("sessions", sorted(ids), sorted(files.read(lost)))


def upgraded(bench):
    """The state of the version before is brought over: nothing is delivered twice."""
    penteld, ids, path = stick(bench, 5)
    penteld.annotate(ids[0], patient="")
    bench.once("stick")
    with sqlite3.connect(bench.state("stick") / "state.db") as db:
        db.executescript("""
            create table s(session text primary key, seq integer not null, wall_us integer not null,
                fold_wall_us integer not null, may_be_erased integer not null, delivered_seq integer,
                delivered_us integer, note text);
            insert into s select session, seq, wall_us, fold_wall_us, may_be_erased, delivered_seq,
                delivered_us, null from session;
            create table p(session text primary key, since_us integer not null, wait integer not null,
                reason text, next_us integer, attempts integer not null);
            insert into p select session, since_us, wait, reason, next_us, attempts from pending;
            create table a(session text not null, field text not null, wall_us integer not null,
                seq integer not null, uid integer not null, primary key(session, field)) without rowid;
            insert into a select session, field, wall_us, seq, uid from said;
            drop table session; drop table pending; drop table said; drop table note; drop table carried;
            drop table tombstone; drop table carried_set;
            alter table s rename to session; alter table p rename to pending; alter table a rename to said;
            create index session_delivered on session(delivered_us);
            create index pending_next on pending(next_us);
            create index pending_since on pending(since_us);
            pragma user_version = 1""")
    n = penteld.calls["GetSession"]
    penteld.annotate(ids[0], patient="P-new")
    bench.once("stick")
    same("asked for", 1, penteld.calls["GetSession"] - n)
    files.compare(path, penteld)
    check("delivered again" not in bench.once("stick").stderr, "it began again")


def killed(bench):
    """SIGKILL at any moment: brought again, everything is there once."""
    penteld, ids, path = stick(bench, 400)
    rng = random.Random(11)
    for i in range(3):
        for id in rng.sample(ids, 200):
            penteld.annotate(id, note=f"n{i}")
        bench.once("stick")
    out = importer(bench)
    env = dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent")
    n_kills = 0
    for i in range(25):
        program = bench.spawn("kill", *bench.argv("out", "--once", f"--import={path}"), env=env)
        time.sleep(0.01 + 0.01 * i)
        n_kills += program.poll() is None
        bench.end(program, signal.SIGKILL)
    bring(bench, path)
    files.compare(out, penteld)
    files.check_chain(out)
    same("kept", {}, carried(bench))
    n = len(files.sets(out))
    bring(bench, path)
    same("sets after once more", n, len(files.sets(out)))
    check(n_kills >= 3, f"only {n_kills} of 25 were killed")
    return f"{n_kills} kills"


def usage(bench):
    importer(bench)
    for words in (("--import=x", "--migrate"), ("--import=x", "--dry-run")):
        b.expect_line(bench, bench.run("out", *words), b.USAGE, "--")


TESTS = [carries, newer_and_older, another_store, unbound, erased_while_waiting, raw, damaged, foreign,
         hostile, malformed, bounded, same_machine, upgraded, killed, usage]

if __name__ == "__main__":
    b.main(TESTS, 170)
