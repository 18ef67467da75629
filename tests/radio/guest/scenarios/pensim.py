# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pensim as a peripheral alone: found, bonded with, read, reported, three links in a row"""

import struct

from gi.repository import GLib

from central import FEATURE, LIVE, RACP, STORED, Central, numbers
from harness import Failure

BOOT = "main"
ORDER = 5
LIMIT_S = 90
N_LINKS = 3


def report(rig, central, stored, newest):
    """Ask for everything there is, in one window; every number must come, in order."""
    central.indications.clear()
    first = max(1, newest - 39)
    central.write(RACP, struct.pack("<BBBII", 1, 4, 1, first, newest))
    found = numbers(stored, 20, rig, lambda found, controls: controls == 1)
    if found != list(range(first, newest + 1)):
        raise Failure(f"asked for {first}..{newest}, came {found}")

    def answered():
        central.spin()
        return central.indications
    answer = rig.wait(answered, 10, "the answer of RACP")
    if answer != [bytes((6, 0, 1, 1))]:
        raise Failure(f"RACP answered {answer}")


def run(rig):
    rig.controllers(4)
    rig.start_sim("--peripheral=hci1", "--pens=1", "--pairing=-1", "--wait-for-bond", "--sessions=1", "--passes=6",
                  "--speed=1.5")
    central = Central(rig, "hci0")
    central.discover()
    central.pair()
    for link in range(N_LINKS):
        feature = central.read(FEATURE)
        if feature[0] != 1:
            raise Failure(f"Feature {feature.hex()}")
        live, stored = central.acquire(LIVE), central.acquire(STORED)
        if link == 0:
            said = central.call_error(central.find(RACP), "org.bluez.GattCharacteristic1", "WriteValue",
                                      GLib.Variant("(aya{sv})", (bytes((1, 1)), {})))
            if said is None:
                raise Failure("RACP took a request without a subscription")
        central.start_notify(RACP)
        if link == 0:
            numbers(live, 20, rig, lambda found, controls: len(found) >= 5)
        report(rig, central, stored, max(5, rig.truth()["pens"][0]["newest"]))
        central.disconnect()
        if link + 1 < N_LINKS:
            central.connect()
    rig.wait_done(60)
    return f"{N_LINKS} links, newest {rig.truth()['pens'][0]['newest']}"
