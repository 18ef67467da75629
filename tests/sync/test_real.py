# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A treatment by pensim, recorded by the real penteld, delivered as it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bus"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench  # noqa: E402
import files  # noqa: E402
import harness  # noqa: E402

SYNC = harness.BUILD / "client/sync/pentel-sync"


def last(path, id):
    """Its last state, None when there is none yet or the open set is just being written."""
    if not (path / ".open").exists():
        return None
    try:
        return files.read(path, with_open=True).get(id)
    except (bench.Failure, ValueError, IndexError):
        return None


def records_of(path):
    return sorted(m for directory in files.sets(path) if (directory / "records.pb").exists()
                  for m in files.messages((directory / "records.pb").read_bytes()))


def carry(rig, path):
    """What the real penteld told is the same behind another machine."""
    target = rig.directory / "carried"
    target.mkdir()
    (rig.directory / "desk.conf").write_text(
        f"[sink]\nkind=directory\nraw=yes\ngateway=desk\n[directory]\npath={target}\n")
    env = dict(rig.env, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent")
    done = subprocess.run([str(SYNC), "--once", f"--import={path}", f"--config={rig.directory}/desk.conf",
                           f"--state-dir={rig.directory}/desk", "desk"], env=env, capture_output=True,
                          text=True, timeout=60)
    if done.returncode != 0 or done.stderr:
        raise harness.Failure(f"--import: {done.returncode}: {done.stdout} {done.stderr}")
    if files.read(target) != files.read(path):
        raise harness.Failure(f"carried: {files.read(target)}, not {files.read(path)}")
    if not set(records_of(target)) <= set(records_of(path)) or not records_of(target):
        raise harness.Failure("carried: other records")


def run():
    with harness.Rig("real") as rig:
        rig.start_sim("--pens=1", "--pairing=-1", "--wait-for-bond", "--speed=20", "--sessions=2")
        rig.start_daemon()
        path = rig.directory / "files"
        path.mkdir()
        (rig.directory / "out.conf").write_text(
            f"[sink]\nkind=directory\nraw=yes\n[directory]\npath={path}\n")
        words = [str(SYNC), f"--config={rig.directory}/out.conf", f"--state-dir={rig.directory}/sync",
                 "out"]
        sync = rig._start("sync", *words)
        rig.enroll(rig.truth()["pens"][0]["serial"] if rig.truth_file.exists() else "PT-0001")
        rig.wait_done(120.0)
        rig.wait(lambda: [s for s in rig.ctl_json("sessions") if s["state"] == "complete"][1:], 30.0,
                 "two complete sessions")
        sessions = rig.ctl_json("sessions")
        rig.wait(lambda: rig.ctl_json("sync")[0]["unbound"] == len(sessions), 20.0, "unbound sessions")
        if os.getuid() == 0 and rig.ctl("sync", user=65534).returncode != 0:
            raise harness.Failure("polkit said yes, and pentelctl sync was refused")
        began = time.monotonic()
        for session in sessions:
            rig.ctl_ok("annotate", session["id"], "--patient", "P-1", "--zone", "chin")
        rig.wait(lambda: all(last(path, s["id"]) for s in sessions), 20.0, "both in the files")
        took = time.monotonic() - began
        # A restart of penteld in between, then a late word.
        rig.stop_daemon()
        rig.start_daemon()
        rig.ctl_ok("annotate", sessions[0]["id"], "--note", "late")
        rig.wait(lambda: (last(path, sessions[0]["id"]) or {}).get("note") == "late", 30.0, "the note")
        if sync.stop(signal.SIGTERM) != 0:
            raise harness.Failure("pentel-sync did not end in order")
        done = subprocess.run([*words[:-1], "--once", "out"], env=rig.env, capture_output=True, text=True,
                              timeout=60)
        if done.returncode != 0 or "again" in done.stderr:
            raise harness.Failure(f"--once: {done.returncode}: {done.stderr}")
        files.check_chain(path)
        found = files.read(path)
        for session in sessions:
            shown = rig.ctl_json("show", session["id"])
            state = found[session["id"]]
            if state["patient"] != "P-1" or len(state["passes"]) != len(shown["passes"]):
                raise harness.Failure(f"differs: {state} {shown}")
            if state["receipt"]["sha256"] != shown["receipt"]["sha256"]:
                raise harness.Failure("another receipt")
        carry(rig, path)
        print(f"ok: {len(sessions)} sessions, {took:.1f} s for both words and both files")
    return 0


if __name__ == "__main__":
    harness.main(run, 160)
