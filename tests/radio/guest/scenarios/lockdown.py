# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A stranger writes to a bonded pen, and no more once the shipped lockdown is in place"""

import shutil
import time
from pathlib import Path

import treatment
from harness import Failure

BOOT = "main"
ORDER = 30
LIMIT_S = 180

EXAMPLE = Path("/usr/share/doc/penteld/examples/pentel-lockdown.conf")
ACTIVE = Path("/etc/dbus-1/system-local.conf")
CHRC = "org.bluez.GattCharacteristic1"
RACP = "00002a52-0000-1000-8000-00805f9b34fb"


def reload_bus(rig):
    rig.sh("systemctl", "reload", "dbus.service")


def write_as_stranger(rig):
    """Number of stored records, which changes nothing; the error, None when it was written."""
    paths = [path for path, faces in rig.bluez_objects().items()
             if path.startswith("/org/bluez/hci0/") and faces.get(CHRC, {}).get("UUID") == RACP]
    if len(paths) != 1:
        raise Failure(f"RACP is at {paths}")
    done = rig.run("busctl", "call", "org.bluez", paths[0], CHRC, "WriteValue", "aya{sv}", "2", "4", "1",
                   "0", user="nobody")
    return None if done.returncode == 0 else done.stderr.strip()


def run(rig):
    treatment.begin(rig, passes=6)
    treatment.check_open(rig)
    open_said = write_as_stranger(rig)
    if open_said is not None and "0xfe" not in open_said.lower() and "progress" not in open_said.lower():
        raise Failure(f"without the lockdown a stranger was refused: {open_said}")
    try:
        shutil.copy(EXAMPLE, ACTIVE)
        reload_bus(rig)
        treatment.back(rig, time.monotonic(), "the lockdown coming into force")
        said = write_as_stranger(rig)
        if said is None or "denied" not in said.lower():
            raise Failure(f"with the lockdown a stranger was not refused: {said}")
        text = treatment.end(rig)
    finally:
        ACTIVE.unlink(missing_ok=True)
        reload_bus(rig)
    return f"written without, \"{said[:60]}\" with it; {text}"
