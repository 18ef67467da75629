#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""udev.py RULES: what the real udev makes of our rules, on devices that umockdev pretends.

The rules stand alone in a mount namespace of their own, so nothing of this machine is seen
or changed. Exit 77: a tool is missing here, or namespaces are not to be had.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SYSTEM_RULES = Path("/usr/lib/udev/rules.d")
HUB = "/devices/pci0000:00/0000:00:14.0/usb1/1-1"
PORT = f"{HUB}/1-1:1.0"
HCI = f"{PORT}/bluetooth/hci0"
LINK = f"{HCI}/hci0:64"

# What, its path, action, class/subclass/protocol of the USB interface, has it power/control;
# is the port kept awake, is penteld wanted.
CASES = (
    ("Bluetooth controller", PORT, "bind", "e0/01/01", True, True, False),
    ("Bluetooth controller not bound yet", PORT, "add", "e0/01/01", True, False, False),
    ("Bluetooth controller that goes", PORT, "unbind", "e0/01/01", True, False, False),
    ("Bluetooth controller without power control", PORT, "bind", "e0/01/01", False, False, False),
    ("keyboard", PORT, "bind", "03/01/01", True, False, False),
    ("memory stick", PORT, "bind", "08/06/50", True, False, False),
    ("radio network adapter", PORT, "bind", "e0/01/03", True, False, False),
    ("wireless USB adapter", PORT, "bind", "e0/02/01", True, False, False),
    ("vendor's own protocol", PORT, "bind", "ff/01/01", True, False, False),
    ("whole USB device", HUB, "bind", "e0/01/01", True, False, False),
    ("adapter", HCI, "add", "e0/01/01", True, False, True),
    ("adapter that changes", HCI, "change", "e0/01/01", True, False, True),
    ("adapter that goes", HCI, "remove", "e0/01/01", True, False, False),
    ("link of an adapter", LINK, "add", "e0/01/01", True, False, False),
)

# Rules that are wrong in one point, and the case that must show it.
MUTATIONS = (
    ('ATTR{bInterfaceClass}=="e0", ', "", "vendor's own protocol"),
    ('ATTR{bInterfaceSubClass}=="01", ', "", "wireless USB adapter"),
    ('ATTR{bInterfaceProtocol}=="01", ', "", "radio network adapter"),
    ('ACTION=="bind", SUBSYSTEM=="usb"', 'SUBSYSTEM=="usb"', "Bluetooth controller not bound yet"),
    ('ENV{DEVTYPE}=="host", ', "", "link of an adapter"),
    ('ACTION!="remove", ', "", "adapter that goes"),
    ('SYSTEMD_WANTS}+="penteld.service"', 'SYSTEMD_WANT}+="penteld.service"', "adapter"),
    ('{../power/control}="on"', '{../power/contrl}="on"', "Bluetooth controller"),
)


def describe(code, has_power):
    one, two, three = code.split("/")
    power = "A: power/control=auto\n" if has_power else ""
    return (f"P: {HUB}\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\nA: bDeviceClass={one}\n{power}\n"
            f"P: {PORT}\nE: DEVTYPE=usb_interface\nE: SUBSYSTEM=usb\nA: bInterfaceClass={one}\n"
            f"A: bInterfaceSubClass={two}\nA: bInterfaceProtocol={three}\n\n"
            f"P: {HCI}\nE: DEVTYPE=host\nE: SUBSYSTEM=bluetooth\n\n"
            f"P: {LINK}\nE: DEVTYPE=link\nE: SUBSYSTEM=bluetooth\n\n")


def ask_udev(folder, path, action, code, has_power):
    """What udevadm says that it does about an event."""
    devices = folder / "devices.umockdev"
    devices.write_text(describe(code, has_power))
    script = 'mount -t tmpfs none /run && mount --bind "$1" "$2" && shift 2 && exec "$@"'
    words = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script, "sh",
             folder / "rules", SYSTEM_RULES, "umockdev-run", "--device", devices, "--",
             "udevadm", "test", f"--action={action}", f"/sys{path}"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=30)
    text = done.stdout + done.stderr
    if "DEVPATH=" not in text:
        sys.exit(f"udevadm test said nothing of {path}: {text.strip()[-500:]}")
    return text


def find_faults(folder, rules):
    """Names of the cases that came out otherwise."""
    (folder / "rules/90-pentel.rules").write_text(rules)
    faults = []
    for name, path, action, code, has_power, is_awake, is_wanted in CASES:
        text = ask_udev(folder, path, action, code, has_power)
        bad = re.findall(r".*90-pentel\.rules.*(?:[Ii]nvalid|[Uu]nknown|Failed|ignoring).*", text)
        awake = re.search(r"90-pentel\.rules:\d+ ATTR.*power/control.*\bon\b", text) is not None
        wanted = re.search(r"^\s*(?:E: )?SYSTEMD_WANTS=.*penteld\.service", text, re.M) is not None
        if bad or (awake, wanted) != (is_awake, is_wanted):
            faults.append(name)
            faults.extend(bad)
    return faults


def main():
    rules = Path(sys.argv[1]).read_text()
    for tool in ("udevadm", "umockdev-run", "unshare"):
        if shutil.which(tool) is None:
            print(f"no {tool} here")
            return 77
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        if subprocess.run(["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "true"],
                          capture_output=True).returncode != 0:
            print("no mount namespaces here")
            return 77
        faults = find_faults(folder, rules)
        for fault in faults:
            print(f"wrong: {fault}")
        for old, new, case in MUTATIONS:
            if old not in rules:
                print(f"the rules have no {old}: this test is out of date")
                return 1
            if case not in find_faults(folder, rules.replace(old, new)):
                print(f"this test cannot fail: {old} -> {new} changed nothing for: {case}")
                return 1
    print(f"{len(CASES)} events, {len(MUTATIONS)} wrong rules found out")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
