# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Compares the rows in PostgreSQL with what fake pentelds hold."""

from bench import same


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


def fetch(server):
    """Everything, by session."""
    tables = {}
    for table in ("session", "pass", "setting", "session_cartridge", "fault", "missing", "annotation"):
        tables[table] = {}
        for row in server.json(f"select * from pentel.{table} order by 1, 2"):
            tables[table].setdefault(row["session"], []).append(with_instants(row))
    return tables


def compare_session(tables, id, session):
    row = tables["session"].get(id, [])
    same(f"rows of {id}", 1, len(row))
    wanted = wanted_session(session)
    same(f"session {id}", wanted, {key: row[0][key] for key in wanted})
    wanted = [wanted_pass(item) for item in session["passes"]]
    found = [{key: item[key] for key in wanted[0]} for item in tables["pass"].get(id, [])]
    same(f"passes of {id}", wanted, found)
    for table, items in (("setting", session["settings"]), ("session_cartridge", session["cartridges"]),
                         ("fault", session["faults"]), ("missing", session["records"]["missing"])):
        same(f"{table} of {id}", len(items), len(tables[table].get(id, [])))
    words = {row["field"]: row["value"] for row in tables["annotation"].get(id, [])}
    for field in ("patient", "operator", "note", "reaction", "order"):
        same(f"{field} of {id}", session.get(field) or None, words.get(field))


def compare(server, penteld, bound=True):
    """Every session of the fake is there once, as it stands, and none besides."""
    sessions = {id: s for id, s in penteld.snapshot().items() if s.get("patient") or not bound}
    tables = fetch(server)
    found = [id for id, rows in tables["session"].items() if rows[0]["erased_at"] is None]
    same("sessions in the database", sorted(sessions), sorted(found))
    for id in sessions:
        compare_session(tables, id, sessions[id])
