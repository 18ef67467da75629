# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What must hold: the store equals what the pens made, minus what they overwrote.

A deviation is one line. Nothing here waits: who asks decides how often.
"""

import struct
import sys

import world
from world import Failure

sys.path.insert(0, str(world.HERE.parent / "bus"))
from compare import Diff, compare_summary  # noqa: E402


def numbers_of(ranges):
    return {n for first, last, *_ in ranges for n in range(first, last + 1)}


def shown_numbers(session):
    """What the list says is stored of a session."""
    records = session.get("records") or {}
    if not records:
        return 0, set()
    last = records["last"]
    if last - records["first"] > 1000000:
        raise Failure(f"session {session['id']} has records {records['first']} to {last}")
    return (int(records["log"], 16), set(range(records["first"], last + 1))
            - numbers_of(records.get("missing") or []))


class Claims:
    """What penteld said is stored, or made a pen forget, before the power went."""

    def __init__(self):
        self.numbers = {}  # log id to numbers of sessions
        self.marked = {}   # log id to the highest mark
        self.head = 0
        self.store_id = None

    def take_shown(self, sessions):
        for session in sessions:
            log_id, numbers = shown_numbers(session)
            self.numbers.setdefault(log_id, set()).update(numbers)

    def take_marks(self, truth):
        for pen in truth["pens"]:
            self.marked[int(pen["log_id"], 16)] = pen["marked"]

    def get(self, log_id, session_numbers, lost):
        """Of a session's numbers those that must be there. lost: what no pen ever told."""
        mark = self.marked.get(log_id, 0)
        return ({n for n in session_numbers if n <= mark} - lost
                | self.numbers.get(log_id, set()) & session_numbers)


def sessions_of(records):
    """Numbers of each session of a log."""
    sessions = {}
    for number, record in records.items():
        session = struct.unpack_from("<I", record, 10)[0]
        if session != 0:
            sessions.setdefault(session, set()).add(number)
    return sessions


class Judge:
    def __init__(self, there):
        self.world = there
        self.lines = []
        self.n_compared = 0

    def say(self, text):
        self.lines.append(text)

    def read(self, session_id, log_id, records):
        """A session's raw stream against the truth, to the byte; its numbers."""
        got, before = set(), 0
        for said_log, record in self.world.read_raw(session_id):
            number = struct.unpack_from("<I", record, 6)[0] if len(record) >= 10 else 0
            if number <= before:
                self.say(f"{session_id[:8]}: {number} comes after {before}")
            before = number
            if said_log != log_id or records.get(number) != record:
                self.say(f"{session_id[:8]}: number {number} is not what the pen made")
            got.add(number)
            self.n_compared += 1
        return got

    def check_list(self, shown, session_id, got):
        """The list of a session must say what its stream has."""
        log_id, numbers = shown_numbers(shown)
        if numbers != got:
            self.say(f"{session_id[:8]}: the list has {sorted(numbers - got)[:9]} more and "
                     f"{sorted(got - numbers)[:9]} fewer than the stream")


def lost_of(pen):
    """Numbers that nobody can have any more."""
    return numbers_of(pen["overwritten"]) | set(pen["torn"])


def by_id(judge, sessions):
    shown = {}
    for session in sessions:
        if session["id"] in shown:
            judge.say(f"session {session['id']} is listed twice")
        shown[session["id"]] = session
    return shown


def check_claims(there, claims):
    """After an honest power cut, with no pen to ask: everything promised is there."""
    judge = Judge(there)
    truth, logs = there.truth(), there.records()
    shown = by_id(judge, there.list_sessions())
    for pen in truth["pens"]:
        log_id = int(pen["log_id"], 16)
        records = logs.get(log_id, {})
        for session in pen["sessions"]:
            numbers = sessions_of(records).get(session["number"], set())
            wanted = claims.get(log_id, numbers, lost_of(pen))
            got = set()
            if session["id"] in shown:
                got = judge.read(session["id"], log_id, records)
            if wanted - got:
                judge.say(f"{pen['serial']} session {session['number']}: promised and gone "
                          f"after the cut: {sorted(wanted - got)[:12]} (marked {pen['marked']})")
    if claims.store_id and there.get_property("StoreId") != claims.store_id:
        judge.say("another store after an honest cut")
    if there.get_property("Head") < claims.head:
        judge.say(f"the journal fell from {claims.head} to {there.get_property('Head')}")
    return judge


def is_elsewhere(shown, lied):
    """A store that forgot its own marks takes them for another gateway's (F5)."""
    missing = (shown.get("records") or {}).get("missing") or []
    return lied and {cause for _, _, cause in missing} == {"held-elsewhere"}


def check_session(judge, pen, session, shown, records, promised, lied, only_list):
    numbers = sessions_of(records).get(session["number"], set())
    gone = lost_of(pen) & numbers - promised
    if lied:
        gone |= {n for n in numbers if n < pen["oldest"]}
    one = shown.pop(session["id"], None)
    if one is None:
        if numbers - gone:
            judge.say(f"{pen['serial']} session {session['number']}: not there")
        return None
    if only_list:
        got = shown_numbers(one)[1]
    else:
        got = judge.read(session["id"], int(pen["log_id"], 16), records)
        judge.check_list(one, session["id"], got)
    where = f"{pen['serial']} session {session['number']}"
    if numbers - gone - got:
        judge.say(f"{where}: missing {sorted(numbers - gone - got)[:12]}")
    if got - numbers:
        judge.say(f"{where}: has {sorted(got - numbers)[:12]} of another session")
    wanted = "complete" if got == numbers or is_elsewhere(one, lied) else "lossy"
    if session["last"] in got and session["ended"] and one["state"] != wanted:
        judge.say(f"{where}: {one['state']} with {len(got)} of {len(numbers)}, "
                  f"without {sorted(numbers - got)[:12]}")
    return got == numbers


def check_all(there, claims, lied, only_list=False):
    """At the end, when every pen had the time to tell everything. only_list: a first look."""
    judge = Judge(there)
    truth, logs = there.truth(), there.records()
    shown = by_id(judge, there.list_sessions())
    whole = []
    for pen in truth["pens"]:
        for session in pen["sessions"]:
            log_id = int(pen["log_id"], 16)
            promised = claims.numbers.get(log_id, set())
            if check_session(judge, pen, session, shown, logs.get(log_id, {}), promised, lied,
                             only_list):
                whole.append((pen, session))
    for session_id in shown:
        judge.say(f"session {session_id} never happened")
    state = there.health()["store_state"]
    if state != "ok" and not lied:
        judge.say(f"the store is {state}")
    if not judge.lines and not only_list:
        check_derived(judge, whole)
    return judge


def check_derived(judge, whole):
    """Passes, contact and depths of what is there as a whole."""
    shown = {one["id"]: one for one in judge.world.pentelctl_json("sessions")}
    for pen, session in whole:
        if not set(pen["torn"]) & set(range(session["first"], session["last"] + 1)):
            diff = Diff(judge.lines, f"{pen['serial']} session {session['number']}")
            compare_summary(pen, session, shown.get(session["id"], {}), diff)
