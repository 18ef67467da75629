# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A link falls while AcquireNotify waits; bluetoothd is wedged, penteld restarts it (F1)"""

import time

import treatment
from central import FEATURE, LIVE, Central
from harness import Failure

BOOT = "plug"
ORDER = 3
GUESTS = ("13",)
LIMIT_S = 300
CHRC = "org.bluez.GattCharacteristic1"


def wedge(rig, central, pen):
    """The pen falls silent between the request for notifications and its answer."""
    from gi.repository import GLib
    central.connect()
    central.read(FEATURE)
    path = central.find(LIVE)
    rig.freeze("pen")
    said = central.call_error(path, CHRC, "AcquireNotify", GLib.Variant("(a{sv})", ({},)), timeout_s=3)
    if said is None or "Timeout" not in said:
        raise Failure(f"AcquireNotify on a frozen pen: {said}")
    central.call(central.device, "org.bluez.Device1", "Disconnect")
    rig.freeze("pen", False)
    rig.wait(lambda: not central.property("Connected"), 20, "the link to fall")
    rig.drop_central(pen)
    # What the dead subscription looks like without a link, to whoever starts only now.
    return rig.bluez_objects()[path][CHRC].get("NotifyAcquired")


def run(rig):
    gateway, pen = rig.dongles("gateway", "pen")
    treatment.begin(rig, pens_on=[pen], gateway=gateway, passes=8)
    rig.sh("systemctl", "stop", "penteld.service")
    central = Central(rig, gateway)
    central.device = f"{central.adapter}/dev_{rig.pen_address().replace(':', '_')}"
    rig.wait(lambda: not central.property("Connected"), 20, "penteld to let go of the link")
    acquired = wedge(rig, central, pen)
    before = rig.show("bluetooth.service", "MainPID")
    began = time.monotonic()
    rig.sh("systemctl", "start", "penteld.service")
    rig.wait(lambda: rig.show("bluetooth.service", "MainPID") != before, 120,
             "penteld to restart bluetooth.service", every=0.5)
    cured_s = time.monotonic() - began
    back_s = treatment.back(rig, began, "the start of penteld on a wedged bluetoothd")
    return (f"NotifyAcquired stayed {acquired}; bluetoothd restarted {cured_s:.1f} s, streaming {back_s:.1f} s "
            f"after the start, {treatment.end(rig)}")
