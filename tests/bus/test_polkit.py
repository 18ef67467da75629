# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What polkit says decides, for everybody but root and the daemon's own user (F9)."""

import os
import signal

import harness

NOBODY = 65534
# Answer of polkit: exit code of pentelctl, a word that its one line has.
EXPECTED = {
    "yes": (harness.OK, ""),
    "no": (harness.NO_PERMISSION, "permi|allow|authori"),
    "absent": (harness.NO_PERMISSION, "permi|allow|authori|polkit"),
    "hang": (harness.TIMEOUT, "polkit|answer|time"),
}


def check(rig, what, done, code, words):
    text = done.stderr.strip()
    if done.returncode != code:
        raise harness.Failure(f"{what}: exit {done.returncode}, not {code}: {text!r}")
    if code == harness.OK:
        return
    if not any(word in text.lower() for word in words.split("|")):
        raise harness.Failure(f"{what}: does not say why: {text!r}")
    if len(text.splitlines()) != 1 or done.stdout.strip():
        raise harness.Failure(f"{what}: not one line: {text!r} {done.stdout!r}")


def run_answer(answer):
    code, words = EXPECTED[answer]
    with harness.Rig(f"polkit {answer}") as rig:
        rig.start_sim("--pens=0", f"--polkit={answer}")
        rig.start_daemon()
        check(rig, "sessions", rig.ctl("sessions", user=NOBODY), code, words)
        check(rig, "pens", rig.ctl("pens", "--json", user=NOBODY), code, words)
        check(rig, "sessions as root", rig.ctl("sessions"), harness.OK, "")
        if answer in ("yes", "no"):
            rig.sim.send(signal.SIGUSR2)
            other = EXPECTED["no" if answer == "yes" else "yes"]
            rig.wait(lambda: rig.ctl("sessions", user=NOBODY).returncode == other[0], 3.0,
                     "penteld to hear that the rules changed")
            check(rig, "sessions, turned", rig.ctl("sessions", user=NOBODY), *other)
        rig.check_daemon()


def run():
    if os.getuid() != 0:
        print("skipped: needs root, to be somebody else")
        return harness.SKIPPED
    return harness.in_parallel(list(EXPECTED), run_answer)


if __name__ == "__main__":
    harness.main(run, 120)
