# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen that means harm, beside a good one: it makes penteld neither grow nor fill the
disk, it passes for no other pen, and the good one's sessions equal the truth in time."""

import re
import sys
import time
from pathlib import Path

import harness
from compare import compare_all, settle
from test_hostile import BAD, GOOD, is_done

# kind: what the bad pen does beside it.
KINDS = {
    "endless": [], "oversize": [], "duplicate": [],
    "turncoat": ["--disconnect-every=3000", "--absent-ms=50"],
    "log-id": [],
    "far": ["--disconnect-every=3000", "--absent-ms=50"],
    "logs": ["--disconnect-every=2500", "--absent-ms=10"],
}
GROWN_KIB = 16 * 1024
DISK_BYTES = 12 * 1024 * 1024
AFTER_S = 8.0  # of harm, once the good pen has treated
LATE_S = 40.0


def memory_kib(rig):
    status = Path(f"/proc/{rig.daemon.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def disk_bytes(rig):
    """All but the ballast, which is there from the start."""
    files = [path for path in rig.state.rglob("*") if path.is_file() and path.name != "ballast"]
    return sum(path.stat().st_size for path in files)


def refuse_bad(rig):
    """Who claims another pen's log is refused, in words."""
    done = rig.ctl("enroll", rig.truth()["pens"][1]["address"], timeout=90.0)
    if done.returncode != harness.FAILED or GOOD not in done.stderr:
        raise harness.Failure(f"another pen's log: exit {done.returncode}: {done.stderr!r}")


def enroll_bad(rig, kind):
    if kind == "log-id":
        refuse_bad(rig)
    else:
        rig.enroll(BAD)


def refuse_after_forgetting(rig):
    """A log stays its pen's when that one is forgotten; that one may come back."""
    before = sorted(session["id"] for session in rig.ctl_json("sessions"))
    rig.ctl_ok("forget", GOOD, "--force")
    refuse_bad(rig)
    after = rig.ctl_json("sessions")
    if sorted(session["id"] for session in after) != before or \
            {session["pen"] for session in after} != {GOOD} or rig.ctl_json("pens"):
        raise harness.Failure(f"another pen has a part in {after}")
    rig.enroll(GOOD)


def check_own(rig, kind):
    """Every session of the good pen's is the good pen's, and no pen goes by two names."""
    good = next(pen for pen in rig.truth()["pens"] if pen["serial"] == GOOD)
    own = {session["id"] for session in good["sessions"]}
    for session in rig.ctl_json("sessions"):
        if session["pen"] == GOOD and session["id"] not in own:
            raise harness.Failure(f"session {session['id']} was put down to {GOOD}")
    serials = sorted(pen["serial"] for pen in rig.ctl_json("pens"))
    if serials != ([GOOD] if kind == "log-id" else [GOOD, BAD]):
        raise harness.Failure(f"pens are {serials}")


def run_kind(kind):
    with harness.Rig(f"hostile {kind}") as rig:
        rig.start_sim("--pens=2", "--sessions=2", "--passes=2", "--pairing=-1",
                      "--wait-for-bond", "--speed=4", f"--hostile={kind}", "--hostile-pen=2",
                      *KINDS[kind])
        rig.start_daemon()
        rig.enroll(GOOD)
        enroll_bad(rig, kind)
        began_kib = memory_kib(rig)
        rig.wait(lambda: is_done(rig, GOOD), 60.0, "the good pen to have treated", every=0.2)
        treated = time.monotonic()
        truth = rig.truth()
        settle(rig, lambda: compare_all(rig, truth, [GOOD]), LATE_S, "the good pen suffers")
        late_s = time.monotonic() - treated
        while time.monotonic() < treated + AFTER_S:
            time.sleep(0.2)
        rig.check_daemon()
        grown, used = memory_kib(rig) - began_kib, disk_bytes(rig)
        if (grown > GROWN_KIB and not harness.is_sanitized()) or used > DISK_BYTES:
            raise harness.Failure(f"grown by {grown} KiB, {used} bytes on disk")
        check_own(rig, kind)
        settle(rig, lambda: compare_all(rig, truth, [GOOD]), 10.0, "the good pen suffers later")
        if kind == "log-id":
            refuse_after_forgetting(rig)
        rig.stop_daemon()
        return f"grown by {grown} KiB, {used // 1024} KiB on disk, good one {late_s:.1f} s late"


def run():
    return harness.in_parallel(sys.argv[1:] or list(KINDS), run_kind, n_workers=3)


if __name__ == "__main__":
    harness.main(run, 300)
