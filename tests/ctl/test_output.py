# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What people see: golden texts at 80 columns without a terminal, and the JSON against its
schemas. PENTEL_GOLDEN=write takes what is printed as the new texts."""

import json
import os
import unicodedata

import fake
import schemas
from fake import Bench, Failure, check, same

GOLDEN = fake.HERE / "golden"


def width(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in line)


def golden(name, text):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PENTEL_GOLDEN") == "write":
        path.write_text(text)
    same(name, path.read_text(), text)
    check("\x1b" not in text, f"{name}: an escape sequence without a terminal")
    for line in text.splitlines():
        check(width(line) <= 80, f"{name}: wider than 80 columns: {line!r}")


def validate(name, value):
    errors = schemas.errors_of(name, value)
    check(not errors, f"{name}: {errors[:3]}")


def tables():
    with Bench().start() as bench:
        golden("status", bench.ok("status"))
        golden("pens", bench.ok("pens"))
        golden("sessions", bench.ok("sessions"))
        golden("show", bench.ok("show", fake.ID))
        golden("show-lossy", bench.ok("show", fake.ID_LOSSY))
        golden("show-bare", bench.ok("show", fake.ID_BARE))
        golden("enroll", bench.ok("enroll", "PT-0001"))
        golden("sessions-wide", bench.ok("sessions", COLUMNS="80", LC_ALL="C"))
        wide = bench.ok("sessions", COLUMNS="120")
        check("CONTACT" in wide and "cheek-left, forehead" in wide, f"no room used: {wide}")
        for verb in ("forget", "annotate"):
            words = ["PT-0001"] if verb == "forget" else ["3f2a", "--zone", "chin"]
            check(bench.ok(verb, *words) == "", f"{verb} talks without need")


def shapes():
    with Bench().start() as bench:
        validate("sessions", bench.json("sessions"))
        validate("pens", bench.json("pens"))
        validate("status", bench.json("status"))
        for identity in (fake.ID, fake.ID_LOSSY, fake.ID_BARE):
            validate("show", bench.json("show", identity))
        bare = bench.json("show", fake.ID_BARE)
        known = {key for key, value in bare.items() if value is not None}
        same("known of a bare session", {"id", "pen", "state", "zones", "passes", "settings",
                                         "cartridges", "faults"}, known)
        check(bench.json("pens")[1]["battery"] is None, "unknown battery is not null")
        note = bench.json("show", fake.ID)["note"]
        check(note == "Second of four.\nMild erythema \x1b[31m.", f"note changed: {note!r}")
        raw = bench.ok("pens", "--json")
        check("\x9b" not in raw and "\\u009b" in raw, "a control character reaches the terminal")
        check(bench.json("enroll")["serial"] == "PT-0001", "enroll --json")
        check(bench.json("forget", "PT-0001") == {"serial": "PT-0001"}, "forget --json")
        check(bench.json("annotate", "3f2a", "--note", "x")["seq"] == 5679, "annotate --json")
        bench.change("ListSessions", reply="(@aa{sv} [], '')")
        check(bench.ok("sessions", "--json").split() == ["[]"], "an empty list is not []")
        check(bench.ok("sessions") == "No sessions.\n", "an empty log says nothing")


def schemas_refuse():
    """A schema that takes anything proves nothing."""
    with Bench().start() as bench:
        good = bench.json("sessions")
        for change in ({"started_at": "today"}, {"elapsed_ms": -1}, {"state": "odd"},
                       {"extra": 1}, {"depth_um": 5}, {"records": {"first": 1}}):
            bad = [dict(good[0], **change)]
            try:
                validate("sessions", bad)
            except Failure:
                continue
            raise Failure(f"the schema takes {change}")


def paging():
    """Pages of the daemon become one list; a limit is kept; the filter reaches the bus."""
    groups = fake.scenario()
    groups["ListSessions"] = {"reply": f"([{fake.SESSION}}}, {fake.LOSSY}}}], 'after-40')"}
    groups["ListSessions after-40"] = {"reply": f"([{fake.BARE}}}], '')"}
    with Bench(groups).start() as bench:
        ids = [one["id"] for one in bench.json("sessions", "--all")]
        same("all", [fake.ID, fake.ID_LOSSY, fake.ID_BARE], ids)
        same("titles", 1, bench.ok("sessions", "--all").count("PASSES"))
        bench.json("sessions")
        asked = [line for line in bench.calls() if line.startswith("ListSessions")]
        check(", 500)" in asked[-2], f"JSON is cut without a word: {asked[-2]}")
        text = bench.ok("sessions", "-n", "2")
        check("--cursor after-40" in text, f"the way on is not said: {text}")
        same("the rest", [fake.ID_BARE],
             [one["id"] for one in bench.json("sessions", "--cursor", "after-40")])
        bench.ok("sessions", "--pen", "PT-0001", "--since", "2026-11-24", "--until", "2026-11-24",
                 "--state", "lossy", "--text", "chin", "-n", "7")
        call = [line for line in bench.calls() if line.startswith("ListSessions")][-2]
        for part in ("'pen': <'PT-0001'>", "'since': <int64 1795478400000000>",
                     "'until': <int64 1795564799999999>", "'state': <'lossy'>", "'text': <'chin'>", ", 7)"):
            check(part in call, f"{part} is not in {call}")


def helps():
    bench = Bench()
    with bench:
        whole = bench.ok("--help")
        for verb in ("status", "pens", "enroll", "forget", "sessions", "show", "watch", "annotate",
                     "export", "sync", "doctor"):
            check(f"\n  {verb}" in whole, f"--help lacks {verb}")
            text = bench.ok(verb, "--help")
            check(text.startswith(f"Usage: pentelctl {verb}"), f"{verb} --help: {text[:60]}")
            same(f"help {verb}", text, bench.ok("help", verb))
            check("--json" in text and "Example:" in text, f"{verb} --help lacks something")
            for line in text.splitlines() + whole.splitlines():
                check(width(line) <= 80, f"{verb} --help: too wide: {line!r}")
        check(bench.ok("--version").startswith("pentelctl "), "--version")


if __name__ == "__main__":
    fake.main([tables, shapes, schemas_refuse, paging, helps])
