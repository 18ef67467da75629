# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The power is cut in the middle of a session; nothing that was acknowledged is missing"""

import json
import time
from pathlib import Path

import treatment
from harness import Failure

BOOT = "power"
ORDER = 1
GUESTS = ("13",)
LIMIT_S = 300
DISK = True

CUT = Path("/radio/out/was-cut")
STATE = Path("/var/lib/pentel")
KEPT = Path("/radio/out/before-cut")


def mount_disk(rig, fresh):
    """penteld's state and bluetoothd's bonds on a real block device."""
    rig.sh("modprobe", "-a", "virtio_blk", "ext4")
    rig.wait(Path("/dev/vda").exists, 10, "the disk")
    if fresh:
        rig.sh("mkfs.ext4", "-q", "/dev/vda", timeout=60)
    rig.sh("systemctl", "stop", "penteld.service")
    Path("/disk").mkdir(exist_ok=True)
    rig.sh("mount", "/dev/vda", "/disk")
    for name, target, owner in (("pentel", STATE, "pentel:pentel"), ("bluetooth", Path("/var/lib/bluetooth"), "root:root")):
        source = Path("/disk") / name
        source.mkdir(exist_ok=True)
        target.mkdir(exist_ok=True)
        rig.sh("chown", owner, source)
        source.chmod(0o700)
        rig.sh("mount", "--bind", source, target)
    rig.sh("systemctl", "start", "penteld.service")


def before_cut(rig):
    mount_disk(rig, True)
    treatment.begin(rig, passes=12)

    def shown():
        sessions = rig.ctl_json("sessions")
        return sessions and sessions[0]["records"]["last"] > 60 and sessions[0]
    session = rig.wait(shown, 90, "records to be shown", every=0.5)
    treatment.check_open(rig)
    KEPT.write_text(json.dumps({"id": session["id"], "records": session["records"]}))
    rig.sh("sync", "-f", KEPT)
    Path("/radio/out/cut").write_text("")
    time.sleep(30)
    raise Failure("the power was not cut")


def run(rig):
    if not CUT.exists():
        before_cut(rig)
    kept = json.loads(KEPT.read_text())
    mount_disk(rig, False)
    rig.wait(lambda: rig.is_active("penteld.service"), 30, "penteld after the cut")
    shown = json.loads(rig.ctl_ok("show", kept["id"], "--json"))
    if shown["records"]["last"] < kept["records"]["last"] or shown["records"]["missing"]:
        raise Failure(f"before the cut {kept['records']}, after it {shown['records']}")
    if "PT-0001" not in rig.pens():
        raise Failure("the enrolled pen is gone")
    # The pens were cut off, too. Their bonds were not, and nobody enrols them again.
    rig.controllers(4)
    rig.wait(lambda: rig.pens()["PT-0001"]["State"] != "no-adapter", 30, "the adapters to be taken")
    if rig.pens()["PT-0001"]["State"] == "needs-enrol":
        raise Failure(f"the bond is gone: {rig.pens()['PT-0001']['Reason']}")
    treatment.begin(rig, "--seed=4242")
    back_s = float(Path("/proc/uptime").read_text().split()[0])
    rig.note_streaming(back_s, "the power's return: all of the boot, and the pen's own start")
    treatment.end(rig)
    return f"{shown['records']['last']} records of {kept['records']['last']} shown before, {shown['state']}, streaming after {back_s:.0f} s"
