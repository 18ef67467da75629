# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Sealed sets brought to a real PostgreSQL: the same rows as if each gateway had come itself."""

import random
import signal
import time

import bench as b
import pgserver
import rows
import sets
import test_postgresql as pg
from bench import check, same

REFUSED = 65
TABLES = ("session", "session_gateway", "pass", "setting", "session_cartridge", "fault", "missing",
          "annotation", "record")


def stick(bench, penteld, gateway="room-9", more=""):
    """Sealed sets of all that penteld holds, under that gateway's name."""
    path = bench.directory / f"stick-{gateway}"
    path.mkdir(exist_ok=True)
    bench.configure(path.name, f"[sink]\nkind=directory\nunbound=send\ngateway={gateway}\n{more}\n"
                    f"[directory]\npath={path}\n")
    env = dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS=penteld.address)
    bench.once(path.name, env=env)
    return path


def importer(bench, name="desk", more=""):
    pg.write_config(bench, name, "desk", more=more)


def bring(bench, path, name="desk", code=b.OK):
    return bench.run(name, "--once", f"--import={path}", code=code)


def snapshot(server):
    """Everything but when it was written."""
    return {table: server.json(f"select to_jsonb(t) - 'seen_at' - 'written_at' - 'last_seen_at' as row "
                               f"from pentel.{table} t order by 1") for table in TABLES}


def unchanged(server, what, before):
    after = snapshot(server)
    for table in TABLES:
        same(f"{what}: {table}", before[table], after[table])


def carries(bench):
    """A stick's sessions are rows under the name of who recorded them; twice is once."""
    penteld, ids = pg.setup(bench, 150)
    penteld.annotate(ids[0], zone="chin", **{"pass": 2})
    path = stick(bench, penteld, more="raw=yes")
    importer(bench, more="raw=yes")
    bring(bench, path)
    rows.compare(pg.SERVER, penteld)
    same("gateways", [["room-9", "150"]], pg.SERVER.sql(
        "select gateway, count(*) from pentel.session group by 1"))
    same("heard by", [["room-9"]], pg.SERVER.sql("select distinct gateway from pentel.session_gateway"))
    same("records", str(sum(len(penteld.raw[id]) for id in ids)),
         pg.SERVER.value("select count(*) from pentel.record"))
    before = snapshot(pg.SERVER)
    bring(bench, path)
    unchanged(pg.SERVER, "the same stick", before)
    pg.write_config(bench, "desk2", "desk2", more="raw=yes")
    bring(bench, path, "desk2")
    unchanged(pg.SERVER, "the same stick at another desk", before)


def old_after_direct(bench):
    """A gateway that came itself since: its old stick, brought by somebody else, undoes nothing."""
    penteld, ids = pg.setup(bench, 5, name="direct", gateway="room-9")
    path = stick(bench, penteld)
    penteld.annotate(ids[0], note="later", operator="later")
    penteld.annotate(ids[1], patient="P-corrected")
    penteld.add(ids[2], n_records=140, passes=3)
    penteld.add(ids[3], passes=5)  # as many records, counted anew
    penteld.erase(ids[4])
    bench.once("direct")
    before = snapshot(pg.SERVER)
    importer(bench)
    bring(bench, path)
    unchanged(pg.SERVER, "the old stick", before)
    rows.compare(pg.SERVER, penteld)
    pg.nothing_left(ids[4])


def two_gateways(bench):
    """Halves of one treatment, one from a gateway and one from a stick, in either order."""
    for order in (("direct", "stick"), ("stick", "direct")):
        penteld, _ = pg.setup(bench, 0, name="direct", gateway="gw-1", penteld=bench.penteld(
            bench.start_bus(f"bus-{order[0]}")))
        env = dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS=penteld.address)
        other = bench.penteld(bench.start_bus(f"bus-other-{order[0]}"))
        fuller, poorer = [], []
        for i in range(12):
            id = penteld.add(n_records=100, missing=[(61, 100, "held-elsewhere")], passes=2)
            other.add(id, n_records=100, passes=3,
                      missing=[(1, 10 if i % 2 else 70, "held-elsewhere")])
            penteld.annotate(id, patient="P-1", operator="early", wall_us=penteld.clock_us)
            other.annotate(id, patient="P-1", operator="late", note="of gw-2",
                           wall_us=penteld.clock_us + 5)
            (fuller if i % 2 else poorer).append(id)
        path = stick(bench, other, f"gw-2-{order[0]}")
        name = f"desk-{order[0]}"
        importer(bench, name)
        for step in order:
            if step == "direct":
                for state in bench.directory.glob("state/direct/state.db*"):
                    state.unlink()
                bench.once("direct", env=env)
            else:
                bring(bench, path, name)
        same("rows", "12", pg.SERVER.value("select count(*) from pentel.session"))
        tables = rows.fetch(pg.SERVER)
        for id in fuller:
            rows.compare_session(tables, id, other.snapshot()[id])
        for id in poorer:
            rows.compare_session(tables, id, {**penteld.snapshot()[id], "operator": "late", "note": "of gw-2"})
        same("both recorded", [["12", "24"]], pg.SERVER.sql(
            "select count(distinct session), count(*) from pentel.session_gateway"))


def erasure(bench):
    """An erasure on a stick makes the tombstone, and nobody's stick brings it back."""
    penteld, ids = pg.setup(bench, 3)
    first = sets.copy(stick(bench, penteld), bench.directory / "first")
    importer(bench)
    bring(bench, first)
    penteld.erase(ids[1])
    bring(bench, stick(bench, penteld))
    pg.nothing_left(ids[1])
    pg.write_config(bench, "desk2", "desk2")
    bring(bench, first, "desk2")
    pg.nothing_left(ids[1])
    rows.compare(pg.SERVER, penteld)


def refused(bench):
    """What the database refuses is set aside alone, and comes right with a later stick."""
    penteld, ids = pg.setup(bench, 12)
    good = penteld.sessions[ids[5]]["started_at"]
    penteld.sessions[ids[5]]["started_at"] = "2026-13-45T99:00:00.000Z"
    path = stick(bench, penteld)
    importer(bench)
    done = bring(bench, path, code=b.WAITING)
    check("1 set aside" in done.stdout and f"session {ids[5]} set aside" in done.stderr, str(done))
    same("rows", "11", pg.SERVER.value("select count(*) from pentel.session"))
    penteld.sessions[ids[5]]["started_at"] = good
    penteld.annotate(ids[5], note="corrected")
    bring(bench, stick(bench, penteld))
    rows.compare(pg.SERVER, penteld)


def away(bench):
    """The database is down: what was carried waits, and goes later without the stick."""
    penteld, ids = pg.setup(bench, 4)
    path = stick(bench, penteld)
    importer(bench)
    pg.SERVER.stop()
    try:
        bring(bench, path, code=b.WAITING)
    finally:
        pg.SERVER.start()
    path.rename(bench.directory / "pulled out")
    penteld.stop()
    bench.hurry("desk")
    done = bench.run("desk", "--once")
    same("exit without penteld", b.WAITING, done.returncode)
    rows.compare(pg.SERVER, penteld)


def killed(bench):
    """SIGKILL at any moment of taking over and of delivering: in the end once."""
    penteld, ids = pg.setup(bench, 80)
    rng = random.Random(5)
    path = stick(bench, penteld)
    for i in range(3):
        for id in rng.sample(ids, 30):
            penteld.annotate(id, note=f"n{i}", zone="chin")
        stick(bench, penteld)
    importer(bench)
    n_kills = 0
    for i in range(20):
        program = bench.spawn("kill", *bench.argv("desk", "--once", f"--import={path}"))
        time.sleep(0.02 + 0.02 * i)
        n_kills += program.poll() is None
        bench.end(program, signal.SIGKILL)
        bench.hurry("desk") if (bench.state("desk") / "state.db").exists() and i > 5 else None
    bring(bench, path)
    rows.compare(pg.SERVER, penteld)
    before = snapshot(pg.SERVER)
    bring(bench, path)
    unchanged(pg.SERVER, "once more", before)
    check(n_kills >= 4, f"only {n_kills} of 20 were killed")
    return f"{n_kills} kills"


TESTS = [carries, old_after_direct, two_gateways, erasure, refused, away, killed]

if __name__ == "__main__":
    if pgserver.find_binaries() is None:
        print("1..0 # SKIP no PostgreSQL")
        raise SystemExit(0)
    with pgserver.Server() as server:
        pg.SERVER = server
        b.main(TESTS, 170)
