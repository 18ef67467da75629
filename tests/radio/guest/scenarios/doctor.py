# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Ten set-ups that are broken on purpose are each named by doctor, and repaired again"""

import json
from contextlib import contextmanager
from pathlib import Path

from harness import Failure

BOOT = "main"
ORDER = 7
LIMIT_S = 150

ADAPTER = ("org.bluez", "/org/bluez/hci0", "org.bluez.Adapter1", "Powered", "b")
BUS_POLICY = Path("/usr/share/dbus-1/system.d/org.pentel.conf")
RULES = Path("/usr/share/polkit-1/rules.d/org.pentel.rules")
CONFIG = Path("/etc/pentel/penteld.conf")
GROUPS = Path("/etc/group")
DROP_IN = Path("/run/systemd/system/bluetooth.service.d/zz-doctor.conf")
PENTELD_UP = 30


def examine(rig, user=None):
    """What is not well, as (check, text)."""
    done = rig.ctl("doctor", "--json", user=user)
    if not done.stdout.startswith("["):
        raise Failure(f"doctor: exit {done.returncode}: {done.stderr}")
    found = [one for one in json.loads(done.stdout) if one["severity"] != "ok"]
    silent = [one for one in found if not one["advice"]]
    if silent:
        raise Failure(f"doctor does not say what to do: {silent}")
    # A slow guest holds everything up; that is no fault of the set-up.
    return {(one["check"], one["text"]) for one in found if "held up" not in one["text"]}


def start_penteld(rig):
    rig.sh("systemctl", "start", "penteld.service")
    rig.wait(lambda: rig.is_active("penteld.service"), PENTELD_UP, "penteld")


@contextmanager
def bluetoothd_stopped(rig):
    rig.sh("systemctl", "stop", "bluetooth.service")
    yield
    rig.sh("systemctl", "start", "bluetooth.service")
    rig.wait(lambda: rig.powered(4), 30, "bluetoothd's adapters", every=0.3)


@contextmanager
def bluetooth_masked(rig):
    rig.sh("systemctl", "mask", "--runtime", "bluetooth.service")
    yield
    rig.sh("systemctl", "unmask", "--runtime", "bluetooth.service")


@contextmanager
def adapter_off(rig):
    rig.sh("busctl", "set-property", *ADAPTER, "false")
    yield
    rig.sh("busctl", "set-property", *ADAPTER, "true")
    rig.wait(lambda: rig.powered(4), 20, "the adapter to be on again", every=0.3)


@contextmanager
def radio_blocked(rig):
    switch = next(path for path in Path("/sys/class/rfkill").iterdir()
                  if (path / "name").read_text().strip() == "hci0")
    (switch / "soft").write_text("1")
    yield
    (switch / "soft").write_text("0")
    rig.run("busctl", "set-property", *ADAPTER, "true")
    rig.wait(lambda: rig.powered(4), 20, "the adapter to be on again", every=0.3)


@contextmanager
def never_restarted(rig):
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Service]\nRestart=no\n")
    rig.sh("systemctl", "daemon-reload")
    yield
    DROP_IN.unlink()
    rig.sh("systemctl", "daemon-reload")


@contextmanager
def moved(rig, path):
    away = path.with_name(path.name + ".away")
    path.rename(away)
    yield
    away.rename(path)


@contextmanager
def group_missing(rig):
    before = GROUPS.read_text()
    GROUPS.write_text(before.replace("\npentel:", "\nlentep:"))
    yield
    GROUPS.write_text(before)


@contextmanager
def penteld_masked(rig):
    rig.sh("systemctl", "stop", "penteld.service")
    rig.sh("systemctl", "mask", "--runtime", "penteld.service")
    yield
    rig.sh("systemctl", "unmask", "--runtime", "penteld.service")
    start_penteld(rig)


@contextmanager
def samples_on_the_bus(rig):
    before = CONFIG.read_text() if CONFIG.exists() else None
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text("[link]\nnotify = start\n")
    rig.sh("systemctl", "restart", "penteld.service")
    yield
    if before is None:
        CONFIG.unlink()
    else:
        CONFIG.write_text(before)
    rig.sh("systemctl", "restart", "penteld.service")


@contextmanager
def store_in_memory(rig):
    rig.sh("mount", "-t", "tmpfs", "-o", "size=10m", "memory", "/var/lib/pentel")
    yield
    rig.sh("umount", "/var/lib/pentel")


@contextmanager
def nothing(rig):
    yield


# What is broken, who asks, the finding and a word of it.
BROKEN = (
    (bluetoothd_stopped, None, "bluetooth", "not running"),
    (bluetooth_masked, None, "bluetooth", "masked"),
    (adapter_off, None, "adapter", "hci0"),
    (radio_blocked, None, "rfkill", "software switch"),
    (never_restarted, None, "restart", "crashes"),
    (lambda rig: moved(rig, BUS_POLICY), None, "policy", "bus policy"),
    (lambda rig: moved(rig, RULES), None, "polkit", "rules"),
    (group_missing, None, "group", "do not exist"),
    (nothing, "nobody", "group", "is not in the group"),
    (penteld_masked, None, "penteld", "masked"),
    (samples_on_the_bus, None, "penteld", "notify = start"),
    (store_in_memory, None, "disk", "in memory"),
)


def run(rig):
    rig.controllers(4)
    rig.check_daemon()
    usual = examine(rig)
    for break_it, user, check, word in BROKEN:
        with break_it(rig):
            new = examine(rig, user) - usual
        if not any(what == check and word in text for what, text in new):
            raise Failure(f"{check}, {word!r}: not named; new is {sorted(new)}")
    left = set()
    for _ in range(5):
        left = examine(rig) - usual
        if not left:
            break
    if left:
        raise Failure(f"not as before: {sorted(left)}")
    return f"{len(BROKEN)} faults named; always: {', '.join(sorted({what for what, _ in usual}))}"
