# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A private bus with a scripted penteld on it, and pentelctl run against them.

Everything that is started ends with the Bench, every wait is bounded.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
BUILD = Path(os.environ.get("PENTEL_BUILD", SOURCE / "build"))
CTL = BUILD / "client/pentelctl"
INTERFACES = SOURCE / "proto/dbus/org.pentel.xml"

ID = "3f2a91c0-5b1e-5c77-9d0a-6f2d7c1b8e44"
ID_LOSSY = "77b0c2d4-0a3f-5e10-8c55-1b2c3d4e5f60"
ID_BARE = "c01dbeef-1111-5222-8333-444455556666"


class Failure(Exception):
    """What a test found wrong, in words."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def same(what, wanted, found):
    if wanted != found:
        raise Failure(f"{what}:\n--- wanted\n{wanted}\n--- found\n{found}")


# A session's samples: three runs of contact, the second with one deep peak.
def samples(n=3000, interval_us=20000, wall_us=1795528800000000):
    lines = []
    for i in range(n):
        phase = i % 1000
        contact = 100 <= phase < 850
        depth = 500 + int(250 * math.sin(i / 150)) if contact else 0
        if i == 1400:
            depth = 1480
        lines.append(json.dumps({
            "tick_us": 5000000 + i * interval_us, "wall_us": wall_us + i * interval_us,
            "depth_um": depth, "rate_dhz": 1167 if contact else 1200,
            "load_permille": 420 if contact else 90, "contact": contact},
            separators=(",", ":")))
    lines.append('{"end":true}')
    return "".join(line + "\n" for line in lines)


DEPTH = ("{'min': <uint32 250>, 'median': <uint32 512>, 'p95': <uint32 745>, "
         "'max': <uint32 1480>, 'mean': <uint32 505>}")

SESSION = f"""{{'id': <'{ID}'>, 'pen': <'PT-0001'>,
 'started_at': <'2026-11-24T14:00:00.000Z'>, 'ended_at': <'2026-11-24T14:01:00.000Z'>,
 'time_error_ms': <uint32 40>, 'elapsed_ms': <uint64 60000>, 'contact_ms': <uint64 45000>,
 'pass_count': <uint32 3>, 'depth_um': <{DEPTH}>, 'state': <'complete'>,
 'records': <{{'log': <'00c0ffee12345678'>, 'first': <uint32 12>, 'last': <uint32 311>,
               'missing': <@a(uus) []>}}>,
 'zones': <['cheek-left', 'forehead']>, 'seq': <uint64 41>"""

LOSSY = f"""{{'id': <'{ID_LOSSY}'>, 'pen': <'PT-0002'>, 'elapsed_ms': <uint64 4980123>,
 'contact_ms': <uint64 3600500>, 'pass_count': <uint32 120>, 'depth_um': <{DEPTH}>,
 'state': <'lossy'>, 'time_error_ms': <uint32 0>,
 'records': <{{'log': <'00c0ffee12345679'>, 'first': <uint32 1>, 'last': <uint32 9000>,
               'missing': <[(uint32 400, uint32 420, 'overwritten'),
                            (uint32 8000, uint32 8000, 'hole:flash-error')]>}}>,
 'seq': <uint64 40>"""

# What a gateway knows that has heard one record and nothing else.
BARE = f"""{{'id': <'{ID_BARE}'>, 'pen': <'PT-0003'>, 'state': <'live'>, 'seq': <uint64 39>"""

FULL = SESSION + f""", 'passes': <[
 {{'index': <uint32 1>, 'started_at': <'2026-11-24T14:00:02.000Z'>, 'elapsed_ms': <uint64 15000>,
   'contact_ms': <uint64 15000>, 'depth_um': <{DEPTH}>, 'rate_hz': <116.7>,
   'punctures_estimate': <uint64 21006>, 'zone': <'cheek-left'>, 'incomplete': <false>}},
 {{'index': <uint32 2>, 'started_at': <'2026-11-24T14:00:22.000Z'>, 'elapsed_ms': <uint64 15000>,
   'contact_ms': <uint64 15000>, 'depth_um': <{DEPTH}>, 'rate_hz': <116.65>,
   'punctures_estimate': <uint64 21000>, 'incomplete': <true>}},
 {{'index': <uint32 3>, 'started_at': <'2026-11-24T14:00:42.000Z'>, 'elapsed_ms': <uint64 15000>,
   'contact_ms': <uint64 15000>, 'depth_um': <@a{{sv}} {{}}>, 'zone': <'forehead, "upper"'>}}]>,
 'settings': <[{{'at': <'2026-11-24T14:00:00.000Z'>, 'depth_um': <uint32 500>}}]>,
 'cartridges': <[{{'id': <'C-77'>, 'lot': <'L2026-3'>, 'expiry': <'2028-01-31'>,
                   'needles': <uint32 12>, 'at': <'2026-11-24T14:00:00.000Z'>}}]>,
 'faults': <[{{'at': <'2026-11-24T14:00:30.000Z'>, 'code': <uint32 7>, 'text': <'motor stalled'>}}]>,
 'receipt': <{{'sha256': <'{"ab" * 32}'>, 'first': <uint32 12>, 'last': <uint32 311>,
               'marked': <uint32 311>, 'marked_at': <'2026-11-24T14:01:05.000Z'>}}>,
 'definition': <'pass/1 lift=800ms contact=300ms'>, 'patient': <'K-20417'>,
 'operator': <'Dr. Weber'>, 'note': <'Second of four.\\nMild erythema \\u001b[31m.'>,
 'reaction': <'Erythema, mild.\\nGone on day 2 \\u001b[31m.'>, 'order': <'CarePlan/7'>,
 'end_cause': <'operator'>"""

PENS = """[{'Serial': <'PT-0001'>, 'Address': <'C0:FF:EE:00:00:01'>, 'Name': <'Pentel Pen'>,
  'State': <'live'>, 'Reason': <'streaming'>, 'Battery': <byte 0x53>, 'Firmware': <'1.4.2'>,
  'Adapter': <'00:1A:7D:DA:71:13'>, 'LastSeen': <int64 1795528800000000>,
  'Overwritten': <uint32 0>, 'Malformed': <uint32 0>},
 {'Serial': <'PT-0002'>, 'Address': <'C0:FF:EE:00:00:02'>, 'Name': <''>,
  'State': <'needs-enrol'>, 'Reason': <'not bonded on adapter 00:1A:7D:DA:71:13: put the pen into pairing mode and type pentelctl enroll PT-0002'>,
  'Battery': <byte 0xff>, 'Firmware': <''>, 'Adapter': <''>, 'LastSeen': <int64 0>,
  'Overwritten': <uint32 21>, 'Malformed': <uint32 3>},
 {'Serial': <'PT-0003'>, 'Address': <'C0:FF:EE:00:00:03'>, 'Name': <'針\\u009b31m'>,
  'State': <'absent'>, 'Reason': <'last heard an hour ago; awaited'>, 'Battery': <byte 0x08>,
  'Firmware': <'1.4.2'>, 'Adapter': <''>, 'LastSeen': <int64 1795525200000000>,
  'Overwritten': <uint32 0>, 'Malformed': <uint32 0>}]"""

HEALTH = """{'version': <'0.1.0'>, 'store_id': <'5d0b8f0e-6f0c-4a55-9a51-0f6a1c1f2e3d'>,
 'store_state': <'ok'>, 'store_error': <''>, 'journal_head': <uint64 5678>,
 'sessions': <uint64 1234>, 'disk_free_bytes': <uint64 12884901888>, 'bluez': <'5.66'>,
 'adapters': <[{'address': <'00:1A:7D:DA:71:13'>, 'name': <'hci0'>, 'powered': <true>}]>,
 'frames_lost': <uint64 0>, 'records_bad': <uint64 2>, 'queue_bytes': <uint64 0>,
 'commit_ms_max': <uint32 12>, 'loop_ms_max': <uint32 2>, 'findings': <@aa{sv} []>}"""


def scenario():
    """Groups of a gateway that is well; a test changes what it is about."""
    return {
        "names": {"own": "org.bluez;org.freedesktop.timedate1;"},
        "clock": {"synced": "true"},
        "Health": {"reply": f"({HEALTH},)"},
        "ListPens": {"reply": f"({PENS},)"},
        "ListSessions": {"reply": f"([{SESSION}}}, {LOSSY}}}, {BARE}}}], '')"},
        "GetSession": {"error": "org.pentel.Error.NotFound", "message": "no session begins so"},
        f"GetSession {ID}": {"reply": f"({FULL}}},)"},
        "GetSession 3f2a91c0": {"reply": f"({FULL}}},)"},
        f"GetSession {ID_LOSSY}": {"reply": f"({LOSSY}}},)"},
        f"GetSession {ID_BARE}": {"reply": f"({BARE}}},)"},
        "StreamSession": {"file": "empty"},
        f"StreamSession {ID}": {"file": "samples.jsonl"},
        "Enroll": {"reply": "(objectpath '/org/pentel/pens/PT_2d0001',)"},
        "Pen /org/pentel/pens/PT_2d0001": {"reply": PENS[1:].split("},")[0] + "}"},
        "Forget": {"reply": "()"},
        "Annotate": {"reply": "(uint64 5679,)"},
    }


class Bench:
    """The bus, the fake and a directory; a context manager."""

    def __init__(self, groups=None):
        self.directory = Path(tempfile.mkdtemp(prefix="pentel-ctl-"))
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("COLUMNS", "NO_COLOR", "LANG", "LANGUAGE")}
        self.env.update(LC_ALL="C.UTF-8", TZ="UTC", TERM="xterm")
        self.groups = scenario() if groups is None else groups
        self.bus = None
        self.fake = None
        self.log = self.directory / "calls"
        self.log_start = 0
        self.is_started = False

    def __enter__(self):
        self.file("samples.jsonl", samples())
        self.file("empty", '{"end":true}\n')
        config = f"--config-file={SOURCE / 'tests/bus/private.conf'}"
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", "--print-address", config],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    text=True, stdin=subprocess.DEVNULL)
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = self.bus.stdout.readline().strip()
        if self.is_started:
            self.start_fake()
        return self

    def start(self):
        """To be entered with the fake already there."""
        self.is_started = True
        return self

    def __exit__(self, kind, error, trace):
        self.stop_fake(signal.SIGKILL)
        if self.bus is not None:
            self.bus.kill()
            self.bus.wait(10)
            self.bus.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def file(self, name, text):
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def write_scenario(self):
        lines = []
        for group, keys in self.groups.items():
            lines.append(f"[{group}]")
            for key, value in keys.items():
                if key == "file":
                    value = self.directory / value
                escaped = str(value).replace("\\", "\\\\").replace("\n", " ")
                lines.append(f"{key}={escaped}")
        return self.file("scenario", "\n".join(lines) + "\n")

    def start_fake(self):
        path = self.write_scenario()
        with open(self.log, "ab") as log:
            self.log_start = log.tell()
            self.fake = subprocess.Popen(
                [str(BUILD / "tests/ctl/fake-pentel"), str(INTERFACES), str(path)],
                env=self.env, stdout=log, stdin=subprocess.DEVNULL)
        self.wait(lambda: b"READY" in self.log.read_bytes()[self.log_start:], "the fake to be ready")
        return self

    def stop_fake(self, number=signal.SIGTERM):
        if self.fake is None:
            return
        self.fake.send_signal(number)
        try:
            self.fake.wait(10)
        except subprocess.TimeoutExpired:
            self.fake.kill()
            self.fake.wait(10)
        self.fake = None

    def change(self, group, **keys):
        """Another answer from now on."""
        self.groups[group] = keys
        if self.fake is not None:
            self.stop_fake()
            self.start_fake()

    def wait(self, condition, what, timeout=10.0):
        end = time.monotonic() + timeout
        while not condition():
            check(time.monotonic() < end, f"waited {timeout:.0f} s for {what}")
            check(self.fake is None or self.fake.poll() is None, f"the fake ended: waiting for {what}")
            time.sleep(0.02)

    def calls(self):
        return self.log.read_text().splitlines()

    def ctl(self, *words, timeout=30.0, **env):
        return subprocess.run([str(CTL), *words], env=dict(self.env, **env), capture_output=True,
                              text=True, errors="surrogateescape", timeout=timeout, cwd=self.directory,
                              stdin=subprocess.DEVNULL)

    def ok(self, *words, **env):
        done = self.ctl(*words, **env)
        check(done.returncode == 0 and not done.stderr,
              f"pentelctl {' '.join(words)}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.ok(*words, "--json"))

    def refused(self, code, *words, **env):
        """Ends with @code, one line on standard error, nothing on standard output."""
        done = self.ctl(*words, **env)
        what = f"pentelctl {' '.join(words)}"
        check(done.returncode == code, f"{what}: exit {done.returncode}, not {code}: {done.stderr!r}")
        check(done.stdout == "", f"{what}: output {done.stdout!r}")
        check(done.stderr.endswith("\n") and done.stderr.count("\n") == 1,
              f"{what}: not one line: {done.stderr!r}")
        return done.stderr


def main(tests):
    """Run the tests named on the command line, or all; TAP."""
    wanted = sys.argv[1:] or [test.__name__ for test in tests]
    failed = 0
    signal.alarm(240)
    print(f"1..{len(wanted)}")
    for number, name in enumerate(wanted, 1):
        test = next(test for test in tests if test.__name__ == name)
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Exception as error:  # a broken test is a failed one, the others go on
            failed += 1
            known = isinstance(error, Failure)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            print("".join(f"# {line}\n" for line in text.splitlines()), end="")
            print(f"not ok {number} - {name}", flush=True)
    sys.exit(1 if failed else 0)
