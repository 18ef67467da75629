# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Every name of an error has its exit code, and one line that says what to do."""

import json
import re
import socket
import time

import fake
from fake import Bench, check

OK, FAILED, USAGE, NO_DAEMON, NO_PERMISSION, NOT_FOUND, NO_RADIO, TIMEOUT, NO_BLUEZ = range(9)
ALTERED = 9

NAMES = {
    "org.pentel.Error.Failed": FAILED,
    "org.pentel.Error.NotAuthorized": NO_PERMISSION,
    "org.pentel.Error.AuthorizationTimeout": TIMEOUT,
    "org.pentel.Error.InvalidArgument": USAGE,
    "org.pentel.Error.NotFound": NOT_FOUND,
    "org.pentel.Error.Ambiguous": NOT_FOUND,
    "org.pentel.Error.Busy": FAILED,
    "org.pentel.Error.StoreFailed": FAILED,
    "org.pentel.Error.StoreNewer": FAILED,
    "org.pentel.Error.UnreadRecords": FAILED,
    "org.pentel.Error.EnrollTimeout": TIMEOUT,
    "org.pentel.Error.NoAdapter": NO_RADIO,
    "org.pentel.Error.NoBluez": NO_BLUEZ,
    "org.pentel.Error.PairingFailed": FAILED,
    "org.pentel.Error.WrongPen": FAILED,
    "org.pentel.Error.Bluez": FAILED,
    "org.pentel.Error.BluezStuck": FAILED,
    "org.pentel.Error.BluezInUse": FAILED,
    "org.pentel.Error.BluezAuth": FAILED,
    "org.pentel.Error.Timeout": TIMEOUT,
    "org.pentel.Error.Disconnected": FAILED,
    "org.pentel.Error.Version": FAILED,
    "org.pentel.Error.Malformed": FAILED,
    "org.pentel.Error.OnHold": FAILED,
    "org.pentel.Error.OfLaterVersions": FAILED,
    "org.freedesktop.DBus.Error.ServiceUnknown": NO_DAEMON,
    "org.freedesktop.DBus.Error.NoReply": NO_DAEMON,
    "org.freedesktop.DBus.Error.Spawn.ChildExited": NO_DAEMON,
    "org.freedesktop.DBus.Error.AccessDenied": NO_PERMISSION,
    "org.freedesktop.DBus.Error.UnknownMethod": FAILED,
    "org.freedesktop.DBus.Error.LimitsExceeded": FAILED,
    "org.freedesktop.systemd1.NoSuchUnit": NO_DAEMON,
}

VERBS = {
    "Health": ["status"],
    "ListPens": ["pens"],
    "Enroll": ["enroll", "PT-0001"],
    "Forget": ["forget", "PT-0001"],
    "ListSessions": ["sessions"],
    "GetSession": ["show", "abcd"],
    "FollowLive": ["watch"],
    "Annotate": ["annotate", "abcd", "--zone", "x"],
}


def names():
    """One verb, every name; a message with a line break and a colour in it."""
    with Bench() as bench:
        for name, code in NAMES.items():
            bench.groups["GetSession"] = {"error": name, "message": "odd\n\x1b[31mwords"}
            bench.stop_fake()
            bench.start_fake()
            text = bench.refused(code, "show", "abcd")
            check(re.match(r"pentelctl: cannot show the session: .+; .+\n$", text), f"{name}: {text!r}")
            check("\x1b" not in text, f"{name}: an escape reaches the terminal")


def covers_the_table():
    """No name of the daemon's is left out here."""
    source = (fake.SOURCE / "daemon/util/error.c").read_text()
    known = set(re.findall(r'"(org\.pentel\.Error\.\w+)"', source))
    check(known and known <= set(NAMES), f"not tried: {known - set(NAMES)}")


def verbs():
    """One name, every verb."""
    with Bench() as bench:
        for method, words in VERBS.items():
            bench.groups = fake.scenario()
            bench.groups[method] = {"error": "org.pentel.Error.NotAuthorized", "message": "no"}
            bench.stop_fake()
            bench.start_fake()
            for more in ([], ["--json"]):
                bench.refused(NO_PERMISSION, *words, *more)
        bench.refused(NO_PERMISSION, "annotate", "abcd", "--note", "x")


def absent():
    """No daemon, no bus: said at once."""
    with Bench() as bench:
        for words in VERBS.values():
            start = time.monotonic()
            bench.refused(NO_DAEMON, *words)
            check(time.monotonic() - start < 5, f"{words}: took too long")
        nothing = f"unix:path={bench.directory}/nothing"
        for words in (*VERBS.values(), ["export", "abcd"]):
            bench.refused(NO_DAEMON, *words, DBUS_SYSTEM_BUS_ADDRESS=nothing)
        bench.refused(NO_DAEMON, "sessions", DBUS_SYSTEM_BUS_ADDRESS="nonsense")


def silent_bus():
    """A bus that accepts and says nothing holds nobody up for long."""
    with Bench() as bench, socket.socket(socket.AF_UNIX) as server:
        path = str(bench.directory / "silent")
        server.bind(path)
        server.listen()
        start = time.monotonic()
        bench.refused(NO_DAEMON, "sessions", DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={path}")
        check(time.monotonic() - start < 20, "took too long")


def wrong_words():
    """Refused before anybody is asked, with what to type."""
    cases = {
        ("sesions",): "did you mean sessions?",
        ("sessions", "--nonsense"): "--help",
        ("help", "sesions"): "did you mean sessions?",
        ("sessions", "--limt=3"): "--limit",
        ("show",): "pentelctl show ID",
        ("show", "a", "b"): "pentelctl show ID",
        (): "--help",
        ("sessions", "-n", "0"): "from 1",
        ("sessions", "-n", "many"): "from 1",
        ("sessions", "--since", "someday"): "2h ago",
        ("sessions", "--state", "odd"): "lossy",
        ("enroll", "--timeout", "301"): "300",
        ("annotate", "abcd"): "--zone",
        ("annotate", "abcd", "--pass", "2"): "--zone",
        ("annotate", "abcd", "--note", "x" * 1025): "1024",
        ("export",): "pentelctl export",
        ("export", "abcd", "--since", "today"): "not both",
        ("export", "abcd", "--format", "xml"): "csv-passes",
        ("export", "abcd", "-o"): "FILE",
        ("show", "\udcff"): "UTF-8",
        ("status", "--force"): "no option --force",
        ("--generate", "tea"): "bash",
    }
    with Bench().start() as bench:
        for words, hint in cases.items():
            text = bench.refused(USAGE, *words)
            check(hint in text, f"{words}: {text!r} does not say {hint!r}")
        check(len(bench.calls()) == 1, f"the daemon was asked: {bench.calls()}")


def odd_replies():
    """A daemon of another mind is an error, not a crash."""
    with Bench() as bench:
        for method, reply in {"Health": "({'version': <5>, 'sessions': <'many'>},)",
                              "ListPens": "([{'Serial': <1>, 'Battery': <'full'>}],)",
                              "ListSessions": "([{'id': <1>, 'records': <[1]>, 'zones': <'x'>}], '')",
                              "GetSession": "({'id': <'x\"y'>, 'passes': <[1]>, 'depth_um': <3>},)"}.items():
            bench.groups = fake.scenario()
            bench.groups[method] = {"reply": reply}
            bench.stop_fake()
            bench.start_fake()
            for more in ([], ["--json"]):
                bench.ok(*VERBS[method], *more)
        bench.refused(FAILED, "export", "abcd", "-f", "csv-passes")


def lost_finding():
    """A verification of which one line cannot be read is not sound."""
    end = json.dumps({"end": True, "store_id": fake.ID, "head": 5, "hash": "ab" * 32, "entries": 5,
                      "sessions": 1, "records": 300})
    finding = json.dumps({"where": "journal 2", "what": "changed"})
    with Bench() as bench:
        for lines, code in (([end], OK), ([finding, end], ALTERED), ([finding[:-2], end], FAILED),
                            (['{"where":{"journal":2},"what":"changed"}', end], FAILED),
                            ([end, finding[:-2]], FAILED), ([end + "\n" + finding[:9]], FAILED), ([], FAILED)):
            text = "".join(line + "\n" for line in lines)
            bench.file("verdict", text if len(lines) != 1 or "\n" not in lines[0] else text[:-1])
            bench.groups["Verify"] = {"file": "verdict"}
            bench.stop_fake()
            bench.start_fake()
            for more in ([], ["--json"], ["--anchor"]):
                done = bench.ctl("verify", *more)
                check(done.returncode == code, f"{lines} {more}: exit {done.returncode}, not {code}: {done}")
                check(code == OK or "sound" not in done.stdout, f"{lines}: {done}")


if __name__ == "__main__":
    fake.main([names, covers_the_table, verbs, absent, silent_bus, wrong_words, odd_replies,
               lost_finding])
