# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Rows in a real PostgreSQL: the same set as in the journals, once, whatever breaks."""

import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import bench as b
import pgserver
import rows
from bench import check, same

SERVER = None
SCHEMA_1_0 = Path(__file__).resolve().parents[2] / "client/sync/pg/schema.sql"


def setup(bench, n=6, name="pg", gateway="gw-1", user="gateway", more="", migrate=True,
          bound=True, penteld=None, port=pgserver.PORT):
    penteld = penteld or bench.penteld()
    ids = [penteld.add(pen=f"PT-{i % 3}") for i in range(n)]
    for id in ids if bound else []:
        penteld.annotate(id, patient=f"P-{id[:4]}")
    write_config(bench, name, gateway, user, more, port)
    if migrate:
        reset()
        write_config(bench, "owner", gateway, "owner")
        bench.run("owner", "--migrate", code=b.OK)
    return penteld, ids


def write_config(bench, name, gateway="gw-1", user="gateway", more="", port=pgserver.PORT,
                 database="clinic"):
    bench.configure(name, f"[sink]\nkind=postgresql\ngateway={gateway}\npoll-s=1\n{more}\n"
                    f"[postgresql]\nconninfo={SERVER.conninfo(user, port, database)}\n")


def reset():
    SERVER.sql("drop schema if exists pentel cascade")
    SERVER.sql("do $$ begin create role gateway login; exception when duplicate_object then null; end $$")
    SERVER.sql("do $$ begin create role pentel_gateway nologin; exception when duplicate_object "
               "then null; end $$; grant pentel_gateway to gateway")


def first_run(bench):
    penteld, ids = setup(bench, 150)
    penteld.annotate(ids[0], zone="cheek-left")
    penteld.annotate(ids[0], zone="chin", **{"pass": 2})
    penteld.annotate(ids[1], zone="forehead")
    bench.once("pg")
    rows.compare(SERVER, penteld)
    same("zones", [["1", "cheek-left"], ["2", "chin"]], SERVER.sql(
        f"select pass, zone from pentel.pass_zone where session = '{ids[0]}' order by 1"))
    # Again, all of it: nothing changes.
    penteld.become_another_store()
    bench.once("pg")
    rows.compare(SERVER, penteld)
    same("gateways per session", "1", SERVER.value(
        "select max(n) from (select count(*) n from pentel.session_gateway group by session) q"))


def schema(bench):
    """Every column says what it holds; a gateway cannot change the schema."""
    setup(bench, 1)
    same("without a comment", [], SERVER.sql(
        "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid "
        "where c.relnamespace = 'pentel'::regnamespace and c.relkind = 'r' and a.attnum > 0 "
        "and col_description(c.oid, a.attnum) is null"))
    same("tables without a comment", [], SERVER.sql(
        "select relname from pg_class where relnamespace = 'pentel'::regnamespace and "
        "relkind in ('r', 'v') and obj_description(oid) is null"))
    for statement in ("create table pentel.x (n int)", "drop table pentel.pass",
                      "alter table pentel.pass add column x int", "delete from pentel.session"):
        try:
            SERVER.sql(statement, user="gateway")
            check(False, f"a gateway could: {statement}")
        except b.Failure as failure:
            check("permission denied" in str(failure) or "must be owner" in str(failure), str(failure))
    bench.once("pg")
    for view in ("treatment", "pass_zone", "sessions_per_day", "sessions_per_pen",
                 "sessions_per_zone", "patient_interval", "depth_by_zone"):
        check(int(SERVER.value(f"select count(*) from pentel.{view}")) > 0, f"view {view} is empty")
    bench.run("owner", "--migrate", code=b.OK)


def views(bench):
    penteld, ids = setup(bench, 3, bound=False)
    for i, id in enumerate(ids):
        penteld.annotate(id, patient="P-1", zone="chin")
        penteld.sessions[id]["started_at"] = f"2026-11-{10 + 7 * i}T10:00:00.000Z"
    bench.once("pg")
    same("reused", [["C-1", "3"]], SERVER.sql("select cartridge, sessions from pentel.cartridge_reuse"))
    same("intervals", [["", ], ["7"], ["7"]], SERVER.sql(
        "select round(interval_d) from pentel.patient_interval order by started_at"))
    same("per day", [["1", "1", "2"]] * 3, SERVER.sql(
        "set timezone = 'UTC'; select sessions, patients, passes from pentel.sessions_per_day order by day"))
    same("depth", [["chin", "6", "400", "500", "651"]], SERVER.sql(
        "select zone, passes, min_um, median_um, max_um from pentel.depth_by_zone"))


def corrections(bench):
    penteld, ids = setup(bench, 3)
    bench.once("pg")
    penteld.add(ids[0], n_records=200, missing=[(5, 9, "missing")], passes=3, state="partial")
    penteld.annotate(ids[1], note="late", operator="op")
    bench.once("pg")
    rows.compare(SERVER, penteld)
    penteld.add(ids[0], n_records=200, passes=1)
    bench.once("pg")
    rows.compare(SERVER, penteld)

def nothing_left(id):
    """Of an erased session, but that it was."""
    row = SERVER.json(f"select * from pentel.session where session = '{id}'")[0]
    kept = {key for key, value in row.items() if value is not None}
    same("left of it", {"session", "n_settled", "gateway", "journal_at", "erased_at", "written_at"}, kept)
    for table in ("annotation", "pass", "setting", "session_cartridge", "fault", "missing", "record"):
        same(f"left in {table}", "0", SERVER.value(
            f"select count(*) from pentel.{table} where session = '{id}'"))
    same("receipts left in session_gateway", "0", SERVER.value(
        "select count(*) from pentel.session_gateway where receipt_sha256 is not null and "
        f"session = '{id}'"))


def erasure(bench):
    """A tombstone: nothing is left, and another gateway cannot bring it back."""
    penteld, ids = setup(bench, 3, more="raw=yes")
    bench.once("pg")
    penteld.erase(ids[0])
    bench.once("pg")
    rows.compare(SERVER, penteld)
    nothing_left(ids[0])
    other = bench.penteld(bench.start_bus("bus2"))
    other.add(ids[0], n_records=500)
    other.annotate(ids[0], patient="P-back")
    write_config(bench, "pg2", "gw-2", more="raw=yes")
    bench.once("pg2", env=dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS=other.address))
    rows.compare(SERVER, penteld)
    nothing_left(ids[0])
    # Nor can the same, whose store was restored from before.
    write_config(bench, "pg3", "gw-1", more="raw=yes")
    bench.once("pg3", env=dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS=other.address))
    nothing_left(ids[0])
    # An erasure of a session that the database has never seen leaves a tombstone too.
    new = penteld.add()
    penteld.erase(new)
    bench.once("pg")
    same("tombstone", "1", SERVER.value(
        f"select count(*) from pentel.session where session = '{new}' and erased_at is not null"))


def two_gateways(bench):
    """Halves of one treatment, in either order and at once: one row, the fuller one."""
    penteld, ids = setup(bench, 0)
    other = bench.penteld(bench.start_bus("bus2"))
    env2 = dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS=other.address)
    write_config(bench, "pg2", "gw-2")
    fuller, poorer = {}, {}
    for i in range(12):
        id = penteld.add(n_records=100, missing=[(61, 100, "held-elsewhere")], passes=2)
        other.add(id, n_records=100, passes=3, missing=[(1, 10 if i % 2 else 70, "held-elsewhere")])
        penteld.annotate(id, patient="P-1", operator="early", wall_us=penteld.clock_us)
        other.annotate(id, patient="P-1", operator="late", note="of gw-2", wall_us=penteld.clock_us + 5)
        (fuller if i % 2 else poorer)[id] = other
    for order in (("pg", "pg2"), ("pg2", "pg")):
        for name in order:
            bench.once(name, env=env2 if name == "pg2" else None)
        for i in (0, 1):
            penteld.become_another_store() if i else other.become_another_store()
    run = [bench.spawn(name, *bench.argv(name, "--once"), env=env)
           for name, env in (("pg", bench.env), ("pg2", env2))]
    same("exit codes", [0, 0], [program.wait(60) for program in run])
    same("rows", "12", SERVER.value("select count(*) from pentel.session"))
    tables = rows.fetch(SERVER)
    for id in fuller:
        rows.compare_session(tables, id, other.snapshot()[id])
    for id in poorer:
        session = {**penteld.snapshot()[id], "operator": "late", "note": "of gw-2"}
        rows.compare_session(tables, id, session)
    same("both recorded", [["12", "24"]], SERVER.sql(
        "select count(distinct session), count(*) from pentel.session_gateway"))
    same("notes", "12", SERVER.value("select count(*) from pentel.annotation where field = 'note' "
                                     "and value = 'of gw-2'"))


def refused_session(bench):
    """One that the server refuses is set aside with its words; the rest goes."""
    penteld, ids = setup(bench, 20)
    penteld.sessions[ids[7]]["started_at"] = "2026-13-45T99:00:00.000Z"
    service = bench.service("pg")
    bench.wait(lambda: bench.try_status("pg").get("set_aside") == 1, 30, "one set aside")
    same("delivered", 19, bench.status("pg")["delivered"])
    entry = bench.status("pg")["entries"][0]
    same("entry", ids[7], entry["session"])
    check("22008" in entry["text"] or "22007" in entry["text"], f"no words: {entry}")
    penteld.add(ids[7])
    bench.wait(lambda: bench.status("pg").get("delivered") == 20, 30, "the corrected one")
    bench.end(service)
    rows.compare(SERVER, penteld)


def tried_again(bench):
    """At once for what the server's code says may pass, never for what its words look like."""
    penteld, ids = setup(bench, 1)
    # A sequence is not rolled back: it counts the tries.
    for code, words, n in (("23514", "odd (40P01) words (40001)", 2), ("40P01", "deadlock", 3),
                           ("40001", "could not serialize", 3)):
        SERVER.sql("drop sequence if exists public.tries; create sequence public.tries; "
                   "grant all on sequence public.tries to gateway; create or replace function "
                   "pentel.refuse() returns trigger language plpgsql as $$ begin "
                   f"perform nextval('public.tries'); raise exception '{words}' using errcode = '{code}'; "
                   "end $$; drop trigger if exists refuse on pentel.session; create trigger refuse "
                   "before insert on pentel.session for each row execute function pentel.refuse()")
        penteld.annotate(ids[0], note=code)
        bench.once("pg", code=b.WAITING)
        same(f"tries after {code}", str(n), SERVER.value("select last_value from public.tries"))
    SERVER.sql("drop trigger refuse on pentel.session")
    bench.hurry("pg")
    bench.once("pg")
    rows.compare(SERVER, penteld)


def nothing_said(bench):
    """What people said is not in the words of a refusal, which quote it."""
    penteld, ids = setup(bench, 2)
    penteld.annotate(ids[0], patient="zq-patient", operator="zq-Zo\u00eb", note="zq-note\nsecond line",
                     zone="zq-zone")
    SERVER.sql("create function pentel.refuse() returns trigger language plpgsql as $$ begin if new.value "
               "like 'zq-%' then raise exception '% is no %: %', new.value, new.field, repeat('\u00e4', 400) "
               "using errcode = '23514'; end if; return new; end $$; create trigger refuse before insert "
               "or update on pentel.annotation for each row execute function pentel.refuse()")
    done = bench.once("pg", code=b.WAITING)
    check("(23514): ... is no " in done.stderr, f"no words: {done.stderr!r}")
    check("zq-" not in done.stderr and "second line" not in done.stderr, f"it is said: {done.stderr!r}")
    check("\\x" not in done.stderr, f"a character was cut: {done.stderr!r}")


def raw(bench):
    penteld, ids = setup(bench, 4, more="raw=yes")
    bench.once("pg")
    for id in ids:
        found = [bytes.fromhex(row[0]) for row in SERVER.sql(
            f"select encode(raw, 'hex') from pentel.record where session = '{id}' order by n")]
        same(f"records of {id}", [b"\x12\x14" + record for record in penteld.raw[id]], found)
    penteld.add(ids[0], n_records=30)
    penteld.add(ids[1], n_records=130)
    bench.once("pg")
    # 30 is fewer than what the server has, so that stays.
    same("records", [["100"], ["130"]], [SERVER.sql(
        f"select count(*) from pentel.record where session = '{id}'")[0] for id in ids[:2]])


def server_faults(bench):
    """Killed in mid-transaction, full, locked, restarted: in the end the set is there, once."""
    penteld, ids = setup(bench, 30)
    service = bench.service("pg")
    bench.wait(lambda: bench.try_status("pg").get("delivered") == 30, 30, "the first")
    SERVER.sql("create function pentel.no_room() returns trigger language plpgsql as $$ begin "
               "raise exception 'could not extend file: No space left on device' using errcode = '53100';"
               " end $$; create trigger no_room before insert or update on pentel.pass for each row "
               "execute function pentel.no_room()")
    penteld.annotate(ids[0], note="while full")
    penteld.add(ids[1], n_records=120)
    bench.wait(lambda: "No space left" in bench.status("pg").get("last_error", ""), 20, "the full disk")
    same("set aside", 0, bench.status("pg")["set_aside"])
    check("next_try_at" in bench.status("pg"), "no next try")
    SERVER.sql("drop trigger no_room on pentel.pass; drop function pentel.no_room()")
    bench.call("pg", "Retry", "s", "")
    bench.caught_up("pg", penteld)
    # The server dies in the middle of a transaction.
    SERVER.sql("create function pentel.slow() returns trigger language plpgsql as $$ begin "
               "perform pg_sleep(3); return new; end $$; create trigger slow before insert on "
               "pentel.pass for each row execute function pentel.slow()")
    penteld.add(ids[2], n_records=140)
    bench.wait(lambda: SERVER.value("select count(*) from pg_stat_activity where query like "
                                    "'%insert into pentel.pass%' and pid <> pg_backend_pid() and "
                                    "state = 'active'") == "1", 20, "the transaction")
    SERVER.kill()
    bench.wait(lambda: "last_error" in bench.status("pg"), 20, "the server to be missed")
    SERVER.start()
    SERVER.sql("drop trigger slow on pentel.pass; drop function pentel.slow()")
    bench.call("pg", "Retry", "s", "")
    bench.caught_up("pg", penteld)
    rows.compare(SERVER, penteld)
    # Connections are ended by the administrator.
    SERVER.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gateway'")
    penteld.annotate(ids[3], note="after")
    bench.caught_up("pg", penteld)
    same("exit", 0, bench.end(service))
    rows.compare(SERVER, penteld)


def refused_connection(bench):
    """Nobody listens: waits and goes on by itself."""
    penteld, ids = setup(bench, 2)
    SERVER.stop()
    done = bench.once("pg", code=b.WAITING)
    check("No such file" in done.stderr or "refused" in done.stderr, f"no words: {done.stderr!r}")
    service = bench.service("pg")
    bench.wait(lambda: "last_error" in bench.try_status("pg"), 20, "an error")
    SERVER.start()
    bench.wait(lambda: bench.status("pg")["delivered"] == 2, 60, "all")
    bench.end(service)
    rows.compare(SERVER, penteld)


def killed(bench):
    """SIGKILL of pentel-sync anywhere between asking penteld and the end."""
    penteld, ids = setup(bench, 40, more="raw=yes")
    rng = random.Random(5)
    bench.once("pg")
    state = {"left": 0}
    reached = threading.Event()

    def count(_id):
        state["left"] -= 1
        if state["left"] == 0:
            reached.set()
    penteld.on_get = count
    n_kills = 0
    for i in range(12):
        changed = rng.sample(ids, 12)
        for id in changed:
            penteld.annotate(id, note=f"n{i}")
            penteld.add(id, n_records=100 + i, passes=1 + i % 4)
        reached.clear()
        state["left"] = rng.randint(1, 12)
        program = bench.spawn("kill", *bench.argv("pg", "--once"))
        check(reached.wait(20), "it never asked for a session")
        time.sleep(rng.uniform(0, 0.1))
        n_kills += program.poll() is None
        bench.end(program, signal.SIGKILL)
    penteld.on_get = None
    bench.once("pg")
    rows.compare(SERVER, penteld)
    check(n_kills >= 6, f"only {n_kills} of 12 were killed")
    return f"{n_kills} kills"


def bouncer(bench):
    """Through PgBouncer in transaction mode, two gateways at once; no lock is left behind."""
    port = SERVER.start_bouncer()
    try:
        penteld, ids = setup(bench, 60, port=port)
        other = bench.penteld(bench.start_bus("bus2"))
        for id in ids:
            other.add(id, n_records=90, pen=penteld.sessions[id]["pen"])
            other.annotate(id, patient=penteld.sessions[id]["patient"], wall_us=1)
        write_config(bench, "pg2", "gw-2", port=port)
        run = [bench.spawn(name, *bench.argv(name, "--once"), env=env) for name, env in (
            ("pg", bench.env), ("pg2", dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS=other.address)))]
        same("exit codes", [0, 0], [program.wait(60) for program in run])
        rows.compare(SERVER, penteld)
        same("locks left", "0", SERVER.value("select count(*) from pg_locks where locktype = 'advisory'"))
        same("gateways", "120", SERVER.value("select count(*) from pentel.session_gateway"))
    finally:
        SERVER.stop_bouncer()


def partitions(bench):
    """The design for very many sessions: the same gateway, the same rows, partitioned tables."""
    penteld, ids = setup(bench, 0)
    script = Path(__file__).resolve().parent.parent.parent / "client/sync/man/postgresql-partitions.sql"
    SERVER.sql(script.read_text())
    ids = [penteld.add() for _ in range(80)]
    for id in ids:
        penteld.annotate(id, patient="P-1")
    write_config(bench, "pg", more="raw=yes")
    bench.once("pg")
    rows.compare(SERVER, penteld)
    penteld.add(ids[0], n_records=150, passes=3)
    penteld.erase(ids[1])
    bench.once("pg")
    rows.compare(SERVER, penteld)
    used = SERVER.value("select count(distinct tableoid) from pentel.session")
    check(int(used) >= 6, f"only {used} of 8 partitions are used")
    same("without a comment", "0", SERVER.value(
        "select count(*) from pg_class c join pg_attribute a on a.attrelid = c.oid where "
        "c.relnamespace = 'pentel'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and "
        "not c.relispartition and col_description(c.oid, a.attnum) is null"))
    check(int(SERVER.value("select count(*) from pentel.treatment")) == 79, "the view is wrong")


def thousand(bench):
    """A thousand gateways, a connection each, forty at a time; every session heard by two."""
    setup(bench, 0)
    done = subprocess.run([str(b.BUILD / "tests/sync/many-gateways"), f"{bench.directory}/pg.conf",
                           "1000", "4", "40"], env=bench.env, capture_output=True, text=True, timeout=150)
    check(done.returncode == 0, f"{done.stdout} {done.stderr[-800:]}")
    same("gateways, sessions, heard", [["1000", "2000", "4000", "2000", "2000"]], SERVER.sql(
        "select (select count(*) from pentel.gateway), count(*), (select count(*) from "
        "pentel.session_gateway), (select count(*) from pentel.pass where contact_ms = 150), "
        "count(*) filter (where n_settled = 150) from pentel.session"))
    return done.stdout.strip()


def bad_input(bench):
    """One line that names file or sink, key and remedy, and an exit code of its own."""
    setup(bench, 1, migrate=False)
    SERVER.sql("drop schema if exists pentel cascade")
    b.expect_line(bench, bench.run("pg", "--once"), b.FOREIGN, "no schema pentel", "--migrate pg")
    SERVER.sql("create schema pentel")
    b.expect_line(bench, bench.run("pg", "--once"), b.FOREIGN, "may not write", "grant pentel_gateway")
    SERVER.sql("grant usage on schema pentel to gateway")
    b.expect_line(bench, bench.run("pg", "--once"), b.FOREIGN, "somebody else's", "another database")
    write_config(bench, "owner", "gw-1", "owner")
    b.expect_line(bench, bench.run("owner", "--migrate"), b.FOREIGN, "somebody else's")
    reset()
    bench.run("owner", "--migrate", code=b.OK)
    SERVER.sql("update pentel.schema_version set major = 2")
    b.expect_line(bench, bench.run("pg", "--once"), b.FOREIGN, "2.1", "upgrade pentel-sync")
    b.expect_line(bench, bench.run("owner", "--migrate"), b.FOREIGN, "later", "upgrade")
    SERVER.sql("update pentel.schema_version set major = 1, minor = 7")
    SERVER.sql("alter table pentel.session add column later text")
    bench.once("pg")
    write_config(bench, "nobody", user="nobody-here")
    b.expect_line(bench, bench.run("nobody", "--once"), b.CONFIG, "conninfo", "nobody-here")
    write_config(bench, "nodb", database="nowhere")
    b.expect_line(bench, bench.run("nodb", "--once"), b.CONFIG, "nowhere")
    bench.configure("secret", "[sink]\nkind=postgresql\n[postgresql]\nconninfo=host=/x password=hush\n")
    done = bench.run("secret", "--once")
    b.expect_line(bench, done, b.CONFIG, "secret.conf: [postgresql] conninfo", "credstore")
    check("hush" not in done.stderr, "it shows the password")
    bench.configure("typo", "[sink]\nkind=postgresql\n[postgresql]\nconninfo=hots=/x\n")
    b.expect_line(bench, bench.run("typo", "--once"), b.CONFIG, "hots", "typo.conf")


def minors(bench):
    """What an older program made is added to, with all that is in it; gateways need not wait."""
    penteld, ids = setup(bench, 2, migrate=False)
    reset()
    write_config(bench, "owner", "gw-1", "owner")
    SERVER.sql(SCHEMA_1_0.read_text())
    penteld.annotate(ids[0], reaction="erythema, mild", order="CarePlan/plan-7")
    bench.once("pg")
    rows.compare(SERVER, penteld)
    for _ in range(2):
        bench.run("owner", "--migrate", code=b.OK)
        same("the version", [["1", "1"]], SERVER.sql("select major, minor from pentel.schema_version"))
    same("what was said", [["erythema, mild", "CarePlan/plan-7"]], SERVER.sql(
        f"select reaction, order_reference from pentel.treatment where session = '{ids[0]}'"))
    penteld.annotate(ids[0], reaction="", order="A-18")
    bench.once("pg")
    rows.compare(SERVER, penteld)


def taken_back(bench):
    """What is taken back goes, a patient too, but not the word of another gateway (F21)."""
    penteld, ids = setup(bench, 2)
    penteld.annotate(ids[0], note="n", reaction="r", order="o", operator="a", zone="chin")
    penteld.annotate(ids[0], zone="neck", **{"pass": 1})
    bench.once("pg")
    rows.compare(SERVER, penteld)
    SERVER.sql("insert into pentel.gateway values ('gw-2'); update pentel.annotation set "
               f"gateway = 'gw-2' where session = '{ids[0]}' and field = 'operator'")
    penteld.annotate(ids[0], note="", reaction="", order="", operator="", zone="", patient="")
    penteld.annotate(ids[0], zone="", **{"pass": 1})
    check("1 without a patient" in bench.once("pg").stdout, "nothing waits for a patient")
    same("what is left", [["operator", "a"]], SERVER.sql(
        f"select field, value from pentel.annotation where session = '{ids[0]}'"))
    same("the session", [["1"]], SERVER.sql(f"select count(*) from pentel.session where session = '{ids[0]}'"))
    penteld.annotate(ids[0], patient="P-9", operator="b")
    bench.once("pg")
    rows.compare(SERVER, penteld)


def password(bench):
    """The credential goes to the server and nowhere else; a wrong one is named."""
    penteld, ids = setup(bench, 1)
    SERVER.sql("alter role gateway password 'right'")
    hba = SERVER.data / "pg_hba.conf"
    kept = hba.read_text()
    hba.write_text("local all gateway scram-sha-256\n" + kept)
    SERVER.sql("select pg_reload_conf()")
    time.sleep(0.5)
    secrets = bench.directory / "secrets"
    secrets.mkdir()
    env = dict(bench.env, CREDENTIALS_DIRECTORY=str(secrets))
    try:
        b.expect_line(bench, bench.run("pg", "--once"), b.CONFIG, "password", "credential")
        (secrets / "password").write_text("wrong\n")
        done = bench.run("pg", "--once", env=env)
        b.expect_line(bench, done, b.CONFIG, "28P01", "credential 'password'")
        (secrets / "password").write_text("right\n")
        bench.once("pg", env=env)
        rows.compare(SERVER, penteld)
    finally:
        hba.write_text(kept)
        SERVER.sql("select pg_reload_conf()")


TESTS = [first_run, schema, views, corrections, erasure, two_gateways, refused_session,
         tried_again, nothing_said, raw,
         server_faults, refused_connection, killed, bouncer, partitions, thousand,
         bad_input, minors, taken_back, password]

if __name__ == "__main__":
    if pgserver.find_binaries() is None:
        print("1..0 # SKIP no PostgreSQL")
        raise SystemExit(0)
    with pgserver.Server() as server:
        SERVER = server
        b.main(TESTS, 290)
