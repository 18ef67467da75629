# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""systemd reaches multi-user, virtual controllers make udev start bluetoothd"""

from harness import Failure

BOOT = "main"
ORDER = 1
GUESTS = ("13", "12", "12-6.1")
LIMIT_S = 60


def run(rig):
    found = rig.controllers(4)
    if not rig.is_active("multi-user.target"):
        raise Failure("multi-user.target is not active")
    roles = {name: adapter.get("Roles") for name, adapter in found.items()}
    for name, words in roles.items():
        if not {"central", "peripheral"} <= set(words or []):
            raise Failure(f"{name}: roles {words}")
    version = rig.sh("bluetoothctl", "--version").strip()
    kernel = rig.sh("uname", "-r").strip()
    return f"{version}, kernel {kernel}, {', '.join(sorted(roles))}"
