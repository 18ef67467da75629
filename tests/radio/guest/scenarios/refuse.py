# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A pen that is not in pairing mode is not enrolled, and stays unbonded"""

from harness import Failure

BOOT = "main"
ORDER = 99
LIMIT_S = 120

# Reasons that show nothing about the pen's refusal.
NEVER_ASKED = ("none was heard", "a connect is pending")


def be_strangers(rig, address):
    """Scenarios before this one bonded with a pen of that address."""
    for pen in rig.ctl_json("pens"):
        if pen["address"] == address:
            rig.ctl_ok("forget", pen["serial"], "--force")
    for path, faces in rig.bluez_objects().items():
        if faces.get("org.bluez.Device1", {}).get("Address") == address:
            rig.sh("busctl", "call", "org.bluez", path.rsplit("/", 1)[0], "org.bluez.Adapter1", "RemoveDevice", "o", path)


def run(rig):
    rig.controllers(4)
    rig.check_daemon()
    rig.start_sim("--peripheral=hci3", "--pens=1", "--seed=4711", "--pairing=0", "--wait-for-bond")
    address = rig.truth()["pens"][0]["address"]
    be_strangers(rig, address)
    before = set(rig.pens())
    done = rig.ctl("enroll", address, "--adapter", "hci0", "--timeout", "20", timeout=60)
    if done.returncode == 0:
        raise Failure("a pen outside pairing mode was enrolled")
    if any(text in done.stderr for text in NEVER_ASKED):
        raise Failure(f"the pen was never asked: {done.stderr}")
    if set(rig.pens()) != before:
        raise Failure("a pen that was not enrolled is listed")
    paired = [path for path, faces in rig.bluez_objects().items()
              if faces.get("org.bluez.Device1", {}).get("Address") == address
              and faces["org.bluez.Device1"]["Paired"]]
    if paired:
        raise Failure(f"bonded all the same: {paired}")
    return f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
