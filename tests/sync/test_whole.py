# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The whole path with the directory sink: journal, cursor, delivery, restarts, kills."""

import os
import pty
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import bench as b
import files
from bench import check, same


def setup(bench, n=10, bound=True, name="out", more="", poll_s=1, **fake):
    penteld = bench.penteld(**fake)
    ids = [penteld.add(pen=f"PT-{i % 3}") for i in range(n)]
    for id in ids if bound else []:
        penteld.annotate(id, patient=f"P-{id[:4]}")
    path = bench.directory / "files"
    path.mkdir()
    bench.configure(name, f"[sink]\nkind=directory\npoll-s={poll_s}\n{more}\n[directory]\npath={path}\n")
    return penteld, ids, path


def delivered(bench, name, n):
    bench.wait(lambda: bench.try_status(name).get("delivered") == n and
               not bench.status(name)["working"], 20, f"{n} sessions delivered")


def first_run(bench):
    """History from the first day, in a sealed set that anyone can check."""
    penteld, _, path = setup(bench, 300)
    bench.once("out")
    files.compare(path, penteld)
    last = files.check_chain(path)
    check(last is not None, "nothing was sealed")
    calls = dict(penteld.calls)
    bench.once("out")
    same("sessions asked for again", calls["GetSession"], penteld.calls["GetSession"])
    same("sets", 1, len(files.sets(path)))


def corrections(bench):
    """A late word, a gap filled, a patient at last, an erasure: the last state counts."""
    penteld, ids, path = setup(bench, 6, bound=False)
    penteld.annotate(ids[0], patient="P-1")
    bench.once("out")
    files.compare(path, penteld)
    penteld.annotate(ids[0], note="late")
    penteld.annotate(ids[0], zone="cheek-left", **{"pass": 2})
    penteld.add(ids[0], n_records=140)
    for id in ids[1:]:
        penteld.annotate(id, patient="P-2")
    bench.once("out")
    files.compare(path, penteld)
    penteld.erase(ids[3])
    bench.once("out")
    files.compare(path, penteld, erased=[ids[3]])
    files.check_chain(path)


def service(bench):
    """Wakes on a new entry, goes on after penteld was away, ends in order."""
    penteld, ids, path = setup(bench, 3, poll_s=60)
    service = bench.service("out")
    delivered(bench, "out", 3)
    began = time.monotonic()
    penteld.annotate(ids[0], note="now")
    bench.wait(lambda: (files.read(path, True).get(ids[0]) or {}).get("note") == "now", 10, "the note")
    took = time.monotonic() - began
    penteld.stop()
    bench.call("out", "Retry", "s", "")
    bench.wait(lambda: "last_error" in bench.status("out"), 20, "penteld to be missed")
    check("penteld" in bench.status("out")["last_error"], "the error does not name penteld")
    new = penteld.add()
    penteld.annotate(new, patient="P-9")
    penteld.start()
    delivered(bench, "out", 4)
    check("last_error" not in bench.status("out"), "the error is still shown")
    files.compare(path, penteld, with_open=True)
    same("exit on SIGTERM", 0, bench.end(service))
    check(took < 5, f"took {took:.1f} s from the entry to the file")
    return f"{took * 1000:.0f} ms from the entry to the file"


def another_store(bench):
    """A restored store: everything again, and it is said (F7)."""
    penteld, ids, path = setup(bench, 5)
    bench.once("out")
    n = penteld.calls["GetSession"]
    penteld.become_another_store()
    done = bench.once("out")
    check("all of it is delivered again" in done.stderr, f"not said: {done.stderr!r}")
    same("sessions asked for again", 5, penteld.calls["GetSession"] - n)
    # The same id, but a shorter history: a restored backup without a new id.
    penteld.entries = penteld.entries[:4]
    done = bench.once("out")
    check("all of it is delivered again" in done.stderr, f"not said: {done.stderr!r}")
    # The same id and length, another entry at the cursor.
    penteld.entries[-1].hash = b"\2" * 32
    done = bench.once("out")
    check("all of it is delivered again" in done.stderr, f"not said: {done.stderr!r}")
    check("delivered again" not in bench.once("out").stderr, "it goes on beginning again")
    files.compare(path, penteld)


def no_hash(bench):
    """A journal without hashes has cursors too."""
    penteld, _, path = setup(bench, 3, has_hash=False)
    bench.once("out")
    check("again" not in bench.once("out").stderr, "it began again")
    files.compare(path, penteld)


def cut_journal(bench):
    """A pipe that ends early loses nothing, and what came is not read again."""
    penteld, _, path = setup(bench, 10)
    penteld.cut_after = 7
    done = bench.once("out", code=b.WAITING)
    check("ended at 7 of 20" in done.stderr, f"not said: {done.stderr!r}")
    bench.once("out")
    files.compare(path, penteld)
    penteld.get_error = "StoreFailed"
    penteld.annotate(next(iter(penteld.sessions)), note="x")
    bench.once("out", code=b.WAITING)
    penteld.get_error = None
    bench.hurry("out")
    bench.once("out")
    files.compare(path, penteld)


def unbound(bench):
    """Waits with its age and is listed; with unbound = send it goes."""
    penteld, ids, path = setup(bench, 3, bound=False)
    bench.service("out")
    bench.wait(lambda: bench.try_status("out").get("unbound") == 3, 20, "three unbound")
    status = bench.status("out")
    same("listed", sorted(ids), sorted(e["session"] for e in status["entries"]))
    check(all("annotate" in e["text"] and e["reason"] == "unbound" for e in status["entries"]),
          f"no remedy: {status['entries']}")
    check("oldest_at" in status, "no age")
    bench.configure("send", f"[sink]\nkind=directory\nunbound=send\n[directory]\npath={path}2\n")
    os.mkdir(f"{path}2")
    bench.once("send")
    files.compare(path.parent / "files2", penteld, bound=False)


def unknown_session(bench):
    """One that penteld does not know is set aside, named, and does not stop the rest."""
    penteld, ids, path = setup(bench, 3)
    gone = penteld.sessions.pop(ids[1])
    service = bench.service("out")
    bench.wait(lambda: bench.try_status("out").get("set_aside") == 1, 20, "one set aside")
    same("delivered", 2, bench.status("out")["delivered"])
    check(bench.errors("out").count(f"session {ids[1]} set aside") == 1, "not said once")
    penteld.sessions[ids[1]] = gone
    same("tried again", 1, bench.call("out", "Retry", "s", ids[1])[0])
    delivered(bench, "out", 3)
    same("nothing left to try", 0, bench.call("out", "Retry", "s", "")[0])
    for bad in ("x", ids[0] + "0"):
        try:
            bench.call("out", "Retry", "s", bad)
            check(False, f"{bad!r} was taken for a session")
        except b.Failure as failure:
            check("UUID" in str(failure), f"no remedy: {failure}")
    bench.end(service)
    files.compare(path, penteld, with_open=True)


def bad_session(bench):
    """One that penteld cannot hand out waits by itself, named; the others go, then and later."""
    penteld, ids, path = setup(bench, 5)
    penteld.bad[ids[2]] = "Malformed"
    service = bench.service("out")
    delivered(bench, "out", 4)
    status = bench.status("out")
    same("waiting", [1, 0], [status["waiting"], status["set_aside"]])
    entry, = status["entries"]
    same("the one", [ids[2], "backoff"], [entry["session"], entry["reason"]])
    check("cannot be read" in entry["text"] and "next_try_at" in entry, f"no words: {entry}")
    check(bench.errors("out").count(f"session {ids[2]}: ") == 1, "not said once")
    check("last_error" not in status, f"it is taken for penteld's: {status}")
    penteld.annotate(penteld.add(), patient="P-new")
    delivered(bench, "out", 5)
    # As a refusal of any kind it must not stop what is due with it.
    for word in ("Failed", "StoreFailed", "InvalidArgument"):
        penteld.bad[ids[2]] = word
        penteld.annotate(ids[2], note=word)
        penteld.annotate(ids[3], note=word)
        bench.wait(lambda: (files.read(path, True).get(ids[3]) or {}).get("note") == word, 20, word)
    penteld.bad.clear()
    same("tried again", 1, bench.call("out", "Retry", "s", ids[2])[0])
    delivered(bench, "out", 6)
    # All of them is penteld's trouble, and over with it.
    penteld.get_error = "StoreFailed"
    for id in ids:
        penteld.annotate(id, note="all")
    bench.wait(lambda: "as told" in bench.status("out").get("last_error", ""), 20, "the trouble")
    penteld.get_error = None
    bench.call("out", "Retry", "s", "")
    bench.caught_up("out", penteld)
    bench.end(service)
    files.compare(path, penteld, with_open=True)


def changed_meanwhile(bench):
    """What changes while it is delivered is delivered once more."""
    penteld, ids, path = setup(bench, 1)
    state = {"n": 0}

    def change(id):
        state["n"] += 1
        if state["n"] == 1:
            penteld.annotate(id, note="meanwhile")
    penteld.on_get = change
    bench.service("out")
    delivered(bench, "out", 1)
    bench.wait(lambda: state["n"] >= 2, 20, "the second delivery")
    bench.caught_up("out", penteld)
    files.compare(path, penteld, with_open=True)


def dry_run(bench):
    """Says what would go, changes nothing; also while the service runs."""
    penteld, ids, path = setup(bench, 3)
    penteld.annotate(ids[0], patient="")
    done = bench.run("out", "--dry-run", code=b.OK)
    same("lines", 2, len(re.findall(r"^would deliver [0-9a-f-]{36}: pen PT-\d, complete, 100 records$",
                                    done.stdout, re.M)))
    check(not bench.state("out").exists() or not (bench.state("out") / "state.db").exists(),
          "it left a state")
    same("sets", [], files.sets(path))
    bench.once("out")
    penteld.annotate(ids[1], note="x")
    for _ in range(2):
        done = bench.run("out", "--dry-run", code=b.OK)
        check(done.stdout.count("would deliver") == 1 and ids[1] in done.stdout, done.stdout)
    bench.once("out")
    files.compare(path, penteld)


def one_at_a_time(bench):
    setup(bench, 1)
    service = bench.service("out")
    delivered(bench, "out", 1)
    b.expect_line(bench, bench.run("out", "--once"), b.STATE, "another pentel-sync", "systemctl stop")
    bench.end(service)
    bench.once("out")


def damaged_state(bench):
    """Moved aside whole and named; everything is delivered again."""
    penteld, _, path = setup(bench, 4)
    bench.once("out")
    (bench.state("out") / "state.db").write_bytes(b"not a database at all" * 500)
    done = bench.once("out")
    check("damaged-" in done.stderr, f"not named: {done.stderr!r}")
    check(list(bench.state("out").glob("damaged-*/state.db")), "not kept")
    files.compare(path, penteld)
    penteld.annotate(next(iter(penteld.sessions)), note="x")
    bench.once("out")
    files.compare(path, penteld)


def lost_medium(bench):
    """A stick that is pulled: an error that says so, nothing written beside it, then all."""
    penteld, ids, path = setup(bench, 2)
    service = bench.service("out")
    delivered(bench, "out", 2)
    path.rename(bench.directory / "away")
    penteld.annotate(ids[0], note="while away")
    bench.wait(lambda: "is not there" in bench.status("out").get("last_error", ""), 20, "an error")
    path.mkdir()
    bench.wait(lambda: "not the medium" in bench.status("out").get("last_error", ""), 20,
               "the empty mount point to be refused")
    same("written beside the medium", [], list(path.iterdir()))
    path.rmdir()
    (bench.directory / "away").rename(path)
    bench.call("out", "Retry", "s", "")
    bench.caught_up("out", penteld)
    same("exit", 0, bench.end(service))
    files.compare(path, penteld, with_open=True)
    # Another sink's directory is refused for good.
    bench.configure("other", f"[sink]\nkind=directory\n[directory]\npath={path}\n")
    b.expect_line(bench, bench.run("other", "--once"), b.FOREIGN, str(path), "--migrate other")
    shutil.rmtree(bench.state("out"))
    b.expect_line(bench, bench.run("out", "--once"), b.FOREIGN, str(path), "--migrate out")
    bench.run("out", "--migrate", code=b.OK)
    bench.once("out")
    files.compare(path, penteld)


def raw(bench):
    """The records as they are, whole."""
    penteld, ids, path = setup(bench, 5, more="raw=yes")
    bench.once("out")
    found = [files.fields(m)[2] for m in
             files.messages((files.sets(path)[0] / "records.pb").read_bytes())]
    same("records", sorted(r for id in ids for r in penteld.raw[id]), sorted(found))
    penteld.raw[ids[0]].pop()
    penteld.annotate(ids[0], note="x")
    done = bench.once("out", code=b.WAITING)
    check("ended early" in done.stderr, f"not noticed: {done.stderr!r}")


def full_sets(bench):
    """A backlog larger than a set may be goes into several, each sealed when it is full."""
    penteld, ids, path = setup(bench, 10, more="raw=yes")
    for id in ids:
        penteld.raw[id] = [bytes(90_000)] * 100
    bench.once("out")
    sizes = [sum(p.stat().st_size for p in directory.iterdir()) >> 20 for directory in files.sets(path)]
    check(len(sizes) == 2 and max(sizes) < 64 + 9, f"sets of {sizes} MiB")
    files.compare(path, penteld)
    files.check_chain(path)
    return f"sets of {sizes} MiB"


def systemd(bench):
    """What systemd is told: readiness, watchdog, status, the end."""
    setup(bench, 2)
    path = bench.directory / "notify"
    lines = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)

        def expect(word):
            while not any(line.startswith(word) for line in lines):
                lines.extend(manager.recv(4096).decode().splitlines())
            while not lines.pop(0).startswith(word):
                pass
        service = bench.service("out", env=dict(bench.env, NOTIFY_SOCKET=str(path), WATCHDOG_USEC="900000"))
        expect("READY=1")
        expect("STATUS=2 sessions delivered")
        for _ in range(3):
            expect("WATCHDOG=1")
        service.send_signal(signal.SIGTERM)
        expect("STOPPING=1")
    same("exit", 0, service.wait(10))


def progress(bench):
    """A long first run on a terminal says how far it is; nowhere else."""
    setup(bench, 500)
    main, side = pty.openpty()
    program = subprocess.Popen(bench.argv("out", "--once"), env=dict(bench.env, TERM="xterm"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=side)
    os.close(side)
    text = b""
    try:
        while chunk := os.read(main, 4096):
            text += chunk
    except OSError:
        pass
    os.close(main)
    same("exit", 0, program.wait(30))
    check(re.search(rb"\] \d+/500 sessions", text), f"no bar: {text!r}")
    check(text.endswith(b"\r\x1b[K"), f"the bar is left behind: {text[-40:]!r}")
    same("without a terminal", "", bench.once("out").stderr)


def torn(bench):
    """What a power cut leaves of a growing set: ends are cut off, rests of sealing go."""
    penteld, ids, path = setup(bench, 5)
    service = bench.service("out")
    delivered(bench, "out", 5)
    bench.end(service, signal.SIGKILL)
    for name, rest in (("deliveries.pb", b"\xff\x7fhalf"), ("sessions.ndjson", b'{"session":"ha'),
                       ("anchor.json.HKJAZ3", b"{"), ("SHA256SUMS", b"00  x\n")):
        with open(path / ".open" / name, "ab") as file:
            file.write(rest)
    penteld.annotate(ids[0], note="after")
    bench.once("out")
    files.compare(path, penteld)
    files.check_chain(path)


def killed(bench):
    """SIGKILL at any moment: in the end the files equal the journal."""
    penteld, ids, path = setup(bench, 60)
    rng = random.Random(7)
    n_kills = 0
    state = {"left": 0}
    reached = threading.Event()

    def count(_id):
        state["left"] -= 1
        if state["left"] == 0:
            reached.set()
    bench.once("out")
    penteld.on_get = count
    for i in range(20):
        penteld.annotate(rng.choice(ids), note=f"n{i}")
        for _ in range(3):
            penteld.annotate(penteld.add(), patient="P-x")
        reached.clear()
        state["left"] = rng.randint(1, 4)
        program = bench.spawn("kill", *bench.argv("out", "--once"))
        check(reached.wait(20), "it never asked for a session")
        time.sleep(rng.uniform(0, 0.02))
        n_kills += program.poll() is None
        bench.end(program, signal.SIGKILL)
    penteld.on_get = None
    bench.once("out")
    files.compare(path, penteld)
    files.check_chain(path)
    check(n_kills >= 5, f"only {n_kills} of 20 were killed")
    return f"{n_kills} kills, {20 - n_kills} too late"


TESTS = [first_run, corrections, service, another_store, no_hash, cut_journal, unbound,
         unknown_session, bad_session, changed_meanwhile, dry_run, one_at_a_time, damaged_state, lost_medium,
         raw, full_sets, systemd, progress, torn,
         killed]

if __name__ == "__main__":
    b.main(TESTS, 170)
