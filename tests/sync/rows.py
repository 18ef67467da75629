# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Compares the rows in PostgreSQL with what fake pentelds hold."""

from bench import check, same


def instant(text):
    """A time as both sides write it, to the millisecond."""
    if not text:
        return None
    whole, _, part = text.replace("+00:00", "").rstrip("Z").partition(".")
    return f"{whole}.{part[:3].ljust(3, '0')}"


DEPTH = ("min", "median", "p95", "max", "mean")


def wanted_session(session):
    records = session["records"]
    out = {"pen": session["pen"], "started_at": instant(session["started_at"]),
           "ended_at": instant(session["ended_at"]), "elapsed_ms": session["elapsed_ms"],
           "contact_ms": session["contact_ms"], "pass_count": session["pass_count"],
           "state": session["state"], "definition": session["definition"],
           "log_id": records["log"], "first_record": records["first"],
           "last_record": records["last"], "receipt_sha256": session["receipt"]["sha256"],
           "end_cause": session["end_cause"], "time_error_ms": session["time_error_ms"]}
    out.update({f"depth_{key}_um": session["depth_um"][key] for key in DEPTH})
    return out


def wanted_pass(item):
    out = {"pass": item["index"], "started_at": instant(item["started_at"]),
           "elapsed_ms": item["elapsed_ms"], "contact_ms": item["contact_ms"],
           "rate_hz": item["rate_hz"], "punctures_estimate": item["punctures_estimate"],
           "incomplete": item["incomplete"]}
    out.update({f"depth_{key}_um": item["depth_um"][key] for key in DEPTH})
    return out


def with_instants(row):
    return {key: instant(value) if key.endswith("_at") else value for key, value in row.items()}


def compare_session(server, id, session):
    row = server.json(f"select * from pentel.session where session = '{id}'")
    same(f"rows of {id}", 1, len(row))
    wanted = wanted_session(session)
    found = with_instants(row[0])
    same(f"session {id}", wanted, {key: found[key] for key in wanted})
    passes = server.json(f"select * from pentel.pass where session = '{id}' order by pass")
    found = [with_instants(item) for item in passes]
    wanted = [wanted_pass(item) for item in session["passes"]]
    same(f"passes of {id}", wanted, [{key: item[key] for key in wanted[0]} for item in found])
    counts = server.json(
        "select (select count(*) from pentel.setting where session = s) as setting,"
        " (select count(*) from pentel.session_cartridge where session = s) as cartridge,"
        " (select count(*) from pentel.fault where session = s) as fault,"
        f" (select count(*) from pentel.missing where session = s) as missing from (select '{id}'::uuid s) q")
    same(f"parts of {id}", {"setting": len(session["settings"]), "cartridge": len(session["cartridges"]),
                            "fault": len(session["faults"]), "missing": len(session["records"]["missing"])},
         counts[0])
    words = dict(server.sql(f"select field, value from pentel.annotation where session = '{id}'"))
    for field in ("patient", "operator", "note"):
        if session.get(field):
            same(f"{field} of {id}", session[field], words.get(field))


def compare(server, penteld, bound=True, details=True):
    """Every session of the fake is there once, and none besides."""
    sessions = {id: s for id, s in penteld.snapshot().items() if s.get("patient") or not bound}
    found = {row[0] for row in server.sql("select session from pentel.session where erased_at is null")}
    same("sessions in the database", sorted(sessions), sorted(found))
    for id in sessions if details else []:
        compare_session(server, id, sessions[id])
    orphans = server.value(
        "select count(*) from pentel.session s where erased_at is null and pass_count <>"
        " (select count(*) from pentel.pass p where p.session = s.session)")
    check(orphans == "0", f"{orphans} sessions do not have their passes")
