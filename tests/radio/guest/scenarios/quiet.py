# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""In an empty room discovery is not taken for dead, however long a window hears nothing"""

from harness import Failure

BOOT = "main"
ORDER = 4
LIMIT_S = 120
WINDOW_S = 40


def run(rig):
    rig.controllers(4)
    rig.wait(lambda: rig.is_active("penteld.service"), 20, "penteld")
    before = rig.show("bluetooth.service", "MainPID")
    done = rig.ctl("enroll", "PT-0404", "--adapter", "hci0", "--timeout", str(WINDOW_S), timeout=WINDOW_S + 40)
    if done.returncode == 0 or "none was heard" not in done.stderr:
        raise Failure(f"enroll in an empty room: exit {done.returncode}: {done.stderr}")
    said = rig.journal("penteld", 60)
    if "is dead" in said or "restarting bluetooth" in said or rig.show("bluetooth.service", "MainPID") != before:
        raise Failure(f"silence was taken for death\n{said}")
    return f"{WINDOW_S} s of silence: {done.stderr.strip().splitlines()[-1]}"
