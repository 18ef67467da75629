# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What is stored is looked after: verified while pens treat, anchored, backed up, held,
erased, restored, and what was erased stays away."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import time

import harness
from compare import compare_all, settle

sys.path.insert(0, str(harness.HERE.parent / "ctl"))
import schemas  # noqa: E402

ALTERED = 9
SERIALS = ["PT-0001", "PT-0002", "PT-0003"]


def check(condition, what):
    if not condition:
        raise harness.Failure(what)


def check_shape(verb, value):
    errors = schemas.errors_of(verb, value)
    check(not errors, f"{verb} --json: {errors[:3]}")


def as_json(rig, verb, *words):
    """What a command prints, as its schema says."""
    value = rig.ctl_json(verb, *words)
    check_shape(verb, value)
    return value


def verify(rig, *words):
    done = rig.ctl("verify", "--json", *words)
    if not done.stdout:
        return done.returncode, done.stderr
    check_shape("verify", json.loads(done.stdout))
    return done.returncode, json.loads(done.stdout)


def check_sound(rig, what, *words):
    code, verdict = verify(rig, *words)
    check(code == harness.OK and verdict["findings"] == [], f"{what}: {code} {verdict}")
    return verdict


def verify_meanwhile(rig):
    """While records arrive nothing is wrong."""
    n_runs = 0
    while not rig.sim.said("DONE"):
        check_sound(rig, "verify while pens treat")
        n_runs += 1
        time.sleep(0.1)
        check(n_runs < 300, "the treatments do not end")
    return n_runs


def check_receipt(rig):
    """The journal has the whole receipt, as show says it."""
    receipts = [as_json(rig, "show", s["id"])["receipt"] for s in as_json(rig, "sessions")]
    check(all(len(r["sha256"]) == 64 and r["marked"] for r in receipts), f"receipts: {receipts}")


def make_anchor(rig):
    path = rig.directory / "anchor.txt"
    path.write_text(rig.ctl_ok("verify", "--anchor"))
    check(path.read_text().startswith("pentel-anchor 1 "), path.read_text())
    return path


def check_backup(rig, path):
    said = as_json(rig, "backup", str(path))
    check(said["bytes"] == path.stat().st_size, f"backup: {said}")
    check(path.stat().st_mode & 0o777 == 0o600, "others may read the backup")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    check(names[0] == "index.db" and names[-1] == "manifest", f"members: {names}")
    rig.wait(lambda: not (rig.state / "backup.tmp").exists(), 10.0, "the copy to be deleted")


def check_erasure(rig):
    """One session by its id; a held patient's are refused, then released and erased."""
    ids = [s["id"] for s in as_json(rig, "sessions")]
    rig.ctl_ok("annotate", ids[0], "--patient", "4711-secret")
    rig.ctl_ok("annotate", ids[1], "--patient", "4711-secret")
    held = as_json(rig, "hold", ids[1], "--reason", "a case")
    check(held["id"] == ids[1], f"held: {held}")
    check(as_json(rig, "show", ids[1])["hold"] == "a case", "the hold is not shown")
    done = rig.ctl("erase", "--patient", "4711-secret", "--reason", "asked")
    check(done.returncode == harness.FAILED and "release" in done.stderr, f"held: {done}")
    rig.ctl_ok("hold", ids[1], "--release")
    log = rig.daemon.err.read_text(errors="replace")
    for did in ("held", "released"):
        check(f"session {ids[1]} is {did} by user {os.getuid()}" in log, f"no line says {did}")
    check("a case" not in log, "the reason of a hold is in the log")
    erased = as_json(rig, "erase", "--patient", "4711-secret", "--reason", "asked")
    check(erased["sessions"] == 2 and erased["left"] == [], f"erased: {erased}")
    for session in ids[:2]:
        shown = as_json(rig, "show", session)
        check(shown["state"] == "erased" and shown["passes"] == [], f"erased: {shown}")
        check(all(shown[key] is None for key in ("elapsed_ms", "contact_ms", "pass_count", "depth_um")),
              f"zeros stand for what is not known any more: {shown}")
        text = rig.ctl_ok("show", shown["id"])
        check("all here" not in text and "no contact" not in text, f"erased, and said to be here: {text}")
    grep = subprocess.run(["grep", "-rl", "4711-secret", str(rig.state)], capture_output=True)
    check(grep.returncode == 1, f"still in {grep.stdout}")
    check(rig.ctl("erase", ids[2]).returncode == harness.USAGE, "erased without a reason")
    return ids


def check_change_found(rig):
    """What somebody changes by hand in the file is found, and said where."""
    rig.stop_daemon()
    db = sqlite3.connect(rig.state / "store/index.db")
    db.execute("update journal set wall_us = wall_us + 1 where seq = 2")
    db.commit()
    db.close()
    rig.start_daemon()
    code, verdict = verify(rig)
    check(code == ALTERED, f"a changed store: {code} {verdict}")
    check([f["where"] for f in verdict["findings"]] == ["journal 2"], f"{verdict}")
    done = rig.ctl("verify")
    check(done.returncode == ALTERED and done.stdout.startswith("journal 2: "), f"{done}")


def restore(rig, path):
    rig.stop_daemon()
    done = subprocess.run([harness.BUILD / "daemon/penteld", "--state-dir", rig.state,
                           "--restore", path], capture_output=True, text=True, timeout=60)
    return done


def check_refused(rig, path):
    """A backup that is cut or altered changes nothing."""
    broken = rig.directory / "broken.tar"
    data = path.read_bytes()
    for name, content in (("cut", data[:-2048]), ("altered", data[:9000] + b"x" + data[9001:])):
        broken.write_bytes(content)
        done = restore(rig, broken)
        check(done.returncode == 1 and "backup" in done.stderr, f"{name}: {done}")
        check(not list(rig.state.glob("replaced-*")), f"{name}: something was replaced")
        rig.start_daemon()


def check_restore(rig, path, truth, ids):
    before = as_json(rig, "status")["store_id"]
    done = restore(rig, path)
    check(done.returncode == 0, f"restore: {done}")
    rig.start_daemon()
    check(as_json(rig, "status")["store_id"] != before, "the store id is the old one")
    check_sound(rig, "after the restore")
    states = {s["id"]: s["state"] for s in as_json(rig, "sessions")}
    check([states[i] for i in ids[:2]] == ["erased", "erased"], f"came back: {states}")
    check(len(list(rig.state.glob("replaced-*"))) == 1, "the old store is gone")
    settle(rig, lambda: [line for line in compare_all(rig, truth)
                         if not any(i[:8] in line for i in ids[:2])], 40.0,
           "what was not erased differs after the restore")


def run():
    with harness.Rig("care") as rig:
        rig.start_sim("--pairing=-1", "--wait-for-bond", "--speed=5", "--sessions=2")
        rig.start_daemon()
        rig.enroll(*SERIALS)
        first = rig.directory / "first.tar"
        check_backup(rig, first)
        n_runs = verify_meanwhile(rig)
        check(n_runs > 0, "the treatments were over before anything was verified")
        truth = rig.wait_done(90.0)
        settle(rig, lambda: compare_all(rig, truth), 30.0, "pentelctl differs from the truth")
        settle(rig, lambda: [] if all(as_json(rig, "show", s["id"])["receipt"].get("marked")
                                      for s in as_json(rig, "sessions")) else ["no mark"], 30.0,
               "not marked")
        check_receipt(rig)
        anchor = make_anchor(rig)
        path = rig.directory / "backup.tar"
        check_backup(rig, path)
        ids = check_erasure(rig)
        check_sound(rig, "after the erasure", "--anchor-check", str(anchor))
        check_refused(rig, path)
        check_change_found(rig)
        check_restore(rig, path, truth, ids)
        check_sound(rig, "the anchor after the restore", "--anchor-check", str(anchor))
        code, verdict = verify(rig, "--anchor-check", "/dev/null")
        check(code == harness.USAGE, f"a bad anchor: {code}")
        print(f"ok: {n_runs} verifications while pens treated")
    return 0


if __name__ == "__main__":
    harness.main(run, 240)
