# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""pentelctl doctor against set-ups that are broken in one point each: a machine's files in a
directory, its bus with a scripted penteld, bluetoothd and systemd. What is wrong must be
named, with what to do, and nothing else may be."""

import json
import os
import re
import shutil
import stat
import subprocess

import fake
from fake import CTL, Bench, check
from test_output import golden, validate

DEVICE = "254:3"
BLUETOOTH = "/org/freedesktop/systemd1/unit/bluetooth_2eservice"
PENTELD = "/org/freedesktop/systemd1/unit/penteld_2eservice"
ADAPTER = ("{'Address': <'00:1A:7D:DA:71:13'>, 'Powered': <true>, "
           "'Roles': <['central', 'peripheral']>}")
AGENTS = "objectpath '/org/bluez': {'org.bluez.AgentManager1': @a{sv} {}}"
STRANGER = 65534

FILES = {
    "/etc/group": f"root:x:0:\npentel:x:{os.getgid() or 990}:\n",
    "/etc/bluetooth/main.conf": "[General]\nControllerMode = le\n[GATT]\nChannels = 1\n",
    "/etc/dbus-1/system-local.conf": '<deny send_interface="org.bluez.GattCharacteristic1"/>\n',
    "/usr/share/dbus-1/system.d/org.pentel.conf": "",
    "/usr/share/polkit-1/actions/org.pentel.policy": "",
    "/usr/share/polkit-1/rules.d/org.pentel.rules": "",
    "/usr/libexec/bluetooth/bluetoothd": "#!/bin/sh\necho 5.84\n",
    "/proc/sys/kernel/osrelease": "6.12.48-amd64\n",
    "/proc/self/mountinfo": "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n"
                            f"30 22 {DEVICE} / /var/lib rw,relatime - ext4 /dev/mapper/data rw\n",
    f"/sys/dev/block/{DEVICE}/dm/uuid": "CRYPT-LUKS2-0123\n",
    "/sys/dev/block/8:2/size": "1\n",
    "/sys/class/rfkill/rfkill0/type": "bluetooth\n",
    "/sys/class/rfkill/rfkill0/soft": "0\n",
    "/sys/class/rfkill/rfkill0/hard": "0\n",
    "/sys/class/rfkill/rfkill1/type": "wlan\n",
    "/sys/class/rfkill/rfkill1/soft": "1\n",
    "/sys/class/bluetooth/hci0/type": "",
}


def objects(adapter=ADAPTER, agents=AGENTS):
    parts = [agents] if agents else []
    if adapter:
        parts.append(f"objectpath '/org/bluez/hci0': {{'org.bluez.Adapter1': {adapter}}}")
    return {"reply": f"(@a{{oa{{sa{{sv}}}}}} {{{', '.join(parts)}}},)"}


def unit(load="loaded", active="active", restart="on-failure"):
    return {"reply": f"{{'LoadState': <'{load}'>, 'ActiveState': <'{active}'>, 'Restart': <'{restart}'>}}"}


def well():
    groups = fake.scenario()
    groups["names"] = {"own": "org.bluez;org.freedesktop.timedate1;org.freedesktop.systemd1;"
                              "org.freedesktop.PolicyKit1;"}
    groups["GetManagedObjects"] = objects()
    groups["LoadUnit"] = {"reply": f"(objectpath '{PENTELD}',)"}
    groups["LoadUnit bluetooth.service"] = {"reply": f"(objectpath '{BLUETOOTH}',)"}
    groups[f"Unit {BLUETOOTH}"] = unit()
    groups[f"Unit {PENTELD}"] = unit()
    groups["ListPens"] = {"reply": "(@aa{sv} [],)"}
    groups["Health"] = {"reply": f"({fake.HEALTH.replace('<uint64 2>', '<uint64 0>')},)"}
    return groups


class Machine(Bench):
    """A bench whose pentelctl looks at the files of a machine that is well."""

    def __init__(self, groups=None):
        super().__init__(well() if groups is None else groups)
        self.root = self.directory / "machine"
        self.env["PENTEL_DOCTOR_ROOT"] = str(self.root)
        for path, text in FILES.items():
            self.write(path, text)

    def write(self, path, text):
        file = self.root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if text.startswith("#!"):
            file.chmod(0o755)

    def remove(self, path):
        (self.root / path[1:]).unlink()

    def examine(self, uid=None):
        """The findings that are not ok, after the shape of all was checked."""
        words = [str(CTL)]
        if uid is not None:
            self.directory.chmod(self.directory.stat().st_mode | stat.S_IRGRP | stat.S_IXGRP | 0o005)
            words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                     shutil.copy(CTL, self.directory / "pentelctl")]
        done = subprocess.run([*words, "doctor", "--json"], env=self.env, capture_output=True, text=True,
                              timeout=30, stdin=subprocess.DEVNULL, cwd="/")
        check(done.stderr == "", f"doctor complains: {done.stderr}")
        found = json.loads(done.stdout)
        validate("doctor", found)
        bad = [one for one in found if one["severity"] != "ok"]
        for one in bad:
            check(one["advice"] and "\n" not in one["advice"], f"no line of what to do: {one}")
        worst = any(one["severity"] == "error" for one in bad)
        check(done.returncode == (1 if worst else 0), f"exit {done.returncode} for {bad}")
        return bad


def doctor():
    """How it looks, of a gateway with pens in trouble."""
    with Machine() as bench:
        bench.groups["ListPens"] = fake.scenario()["ListPens"]
        bench.groups["Health"] = fake.scenario()["Health"]
        bench.start_fake()
        done = bench.ctl("doctor")
        check(done.returncode == 1, f"a pen in error, but exit {done.returncode}")
        golden("doctor", re.sub("group: .*", "group: USER may", done.stdout))
        named = [one["text"] for one in bench.examine() if one["check"] == "pen"]
        check(len(named) == 2 and "PT-0002" in named[0] and "malformed" in named[0], f"pens: {named}")


def finds_nothing():
    groups = well()
    groups["ListPens"] = {"reply": "([{'Serial': <'PT-0001'>, 'State': <'live'>, 'Battery': <byte 80>}],)"}
    with Machine(groups) as bench:
        bench.start_fake()
        check(bench.examine() == [], f"a gateway that is well: {bench.examine()}")


HEALTH = well()["Health"]["reply"]

# What is broken on the bus: group and its answer; check and severity, and a word of each finding.
ON_THE_BUS = (
    ("no answer of the clock", {"clock": {"synced": "false"}}, [("clock", "warning", "not synchronised")]),
    ("disk nearly full", {"Health": {"reply": HEALTH.replace("<uint64 12884901888>", "<uint64 1000000>")}},
     [("disk", "error", "free")]),
    ("damaged store", {"Health": {"reply": HEALTH.replace("<'ok'>", "<'damaged'>")}},
     [("store", "error", "damaged")]),
    ("bad records", {"Health": {"reply": HEALTH.replace("'records_bad': <uint64 0>", "'records_bad': <uint64 2>")}},
     [("records", "info", "2 records")]),
    ("what penteld finds", {"Health": {"reply": HEALTH.replace(
        "<@aa{sv} []>", "<[{'severity': <'warning'>, 'text': <'notify = start is set'>, 'advice': <'a'>}]>")}},
     [("penteld", "warning", "notify = start")]),
    ("penteld shut out of bluetoothd", {"Health": {"reply": HEALTH.replace("<'5.66'>", "<'absent'>")}},
     [("bluetooth", "error", "does not see bluetoothd")]),
    ("no adapter", {"GetManagedObjects": objects(adapter="")}, [("adapter", "error", "no adapter")]),
    ("adapter off", {"GetManagedObjects": objects(ADAPTER.replace("<true>", "<false>"))},
     [("adapter", "warning", "is off"), ("adapter", "error", "no pen can be reached")]),
    ("adapter without LE", {"GetManagedObjects": objects(ADAPTER.replace("'central'", "'main'"))},
     [("adapter", "warning", "Bluetooth LE"), ("adapter", "error", "no pen can be reached")]),
    ("no agents", {"GetManagedObjects": objects(agents="")}, [("agent", "error", "pairing agent")]),
    ("bluetoothd never restarted", {f"Unit {BLUETOOTH}": unit(restart="no")},
     [("restart", "warning", "crashes")]),
    ("refused by polkit", {"Health": {"error": "org.pentel.Error.NotAuthorized", "message": "no"}},
     [("permission", "error", "may not use penteld")]),
    ("penteld's trouble", {"Health": {"error": "org.pentel.Error.StoreFailed", "message": "no room"}},
     [("penteld", "error", "no room")]),
    ("a pen needs enrolling", {"ListPens": {"reply": "([{'Serial': <'PT-0002'>, 'State': <'needs-enrol'>, "
                                            "'Reason': <'not bonded'>}],)"}},
     [("pen", "error", "not bonded")]),
)

# What is broken in the files of the machine, path and text (None: the file is missing).
IN_THE_FILES = (
    ("/usr/share/dbus-1/system.d/org.pentel.conf", None, [("policy", "error", "bus policy")]),
    ("/usr/share/polkit-1/actions/org.pentel.policy", None, [("polkit", "error", "actions")]),
    ("/usr/share/polkit-1/rules.d/org.pentel.rules", None, [("polkit", "error", "rules")]),
    ("/etc/group", "root:x:0:\n", [("group", "error", "do not exist")]),
    ("/etc/dbus-1/system-local.conf", "<busconfig/>\n", [("lockdown", "info", "every local user")]),
    ("/usr/libexec/bluetooth/bluetoothd", "#!/bin/sh\necho 5.82\n", [("debris", "info", "5.82")]),
    ("/proc/sys/kernel/osrelease", "6.1.0-40-amd64\n", [("kernel", "warning", "6.1")]),
    ("/sys/class/rfkill/rfkill0/soft", "1\n", [("rfkill", "error", "software")]),
    ("/sys/class/rfkill/rfkill0/hard", "1\n", [("rfkill", "error", "hardware")]),
    (f"/sys/dev/block/{DEVICE}/dm/uuid", "LVM-0123\n", [("encryption", "warning", "/dev/mapper/data")]),
    ("/proc/self/mountinfo", "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n", [("encryption", "warning", "/dev/sda2")]),
    ("/proc/self/mountinfo", "22 1 0:21 / / rw - 9p share rw\n", [("encryption", "info", "9p")]),
    ("/proc/self/mountinfo", "22 1 0:5 / /var/lib/pentel rw - tmpfs tmpfs rw\n", [("disk", "error", "in memory")]),
)


def compare(name, bad, wanted):
    found = [(one["check"], one["severity"]) for one in bad]
    check(found == [(what, severity) for what, severity, _ in wanted], f"{name}: {bad}")
    for one, (_, _, word) in zip(bad, wanted):
        check(word in one["text"], f"{name}: no {word!r} in {one}")


def without_pen(bad):
    """The bench has no pens, which is said and is no fault."""
    return [one for one in bad if one["text"] != "no pen is enrolled"]


def finds_on_the_bus():
    with Machine() as bench:
        bench.start_fake()
        for name, groups, wanted in ON_THE_BUS:
            before = {group: bench.groups.get(group) for group in groups}
            bench.groups.update(groups)
            bench.change("names", **bench.groups["names"])
            compare(name, without_pen(bench.examine()), wanted)
            bench.groups.update(before)


def finds_in_the_files():
    with Machine() as bench:
        bench.start_fake()
        for path, text, wanted in IN_THE_FILES:
            if text is None:
                bench.remove(path)
            else:
                bench.write(path, text)
            compare(f"{path}: {text}", without_pen(bench.examine()), wanted)
            bench.write(path, FILES[path])


def finds_old_bluez():
    with Machine() as bench:
        bench.start_fake()
        bench.write("/usr/libexec/bluetooth/bluetoothd", "#!/bin/sh\necho 5.66\n")
        compare("5.66", without_pen(bench.examine()), [("debris", "info", "5.66")])
        bench.write("/etc/bluetooth/main.conf", "[General]\n")
        compare("5.66 with channels", without_pen(bench.examine()),
                [("debris", "info", "5.66"), ("config", "warning", "channels")])


def follows_disks_down():
    """LVM on LUKS is encrypted, a stripe of which one half is not is not."""
    with Machine() as bench:
        bench.start_fake()
        block = f"/sys/dev/block/{DEVICE}"
        bench.write(f"{block}/dm/uuid", "LVM-0123\n")
        bench.write(f"{block}/slaves/dm-1/dm/uuid", "CRYPT-LUKS2-4567\n")
        compare("LVM on LUKS", without_pen(bench.examine()), [])
        bench.write(f"{block}/slaves/sdb1/size", "1\n")
        compare("half of it", without_pen(bench.examine()), [("encryption", "warning", "not encrypted")])


def names_of(bench, names):
    bench.groups["names"] = {"own": ";".join([*names, ""])}
    bench.change("names", **bench.groups["names"])


def finds_missing_services():
    """bluetoothd, polkit, penteld and the whole bus away, one after another."""
    with Machine() as bench:
        bench.start_fake()
        names = ["org.freedesktop.timedate1", "org.freedesktop.systemd1", "org.freedesktop.PolicyKit1"]
        names_of(bench, names)
        compare("bluetoothd", without_pen(bench.examine()), [("bluetooth", "error", "not running")])
        for load, active, word in (("not-found", "inactive", "not installed"), ("masked", "inactive", "masked"),
                                   ("loaded", "failed", "has failed")):
            bench.change(f"Unit {BLUETOOTH}", **unit(load, active))
            compare(f"bluetooth.service {load}", without_pen(bench.examine()),
                    [("bluetooth", "error", "not running"), ("bluetooth", "error", word)])
        bench.change(f"Unit {BLUETOOTH}", **unit())
        names_of(bench, ["org.bluez", *names[:2]])
        compare("polkit", without_pen(bench.examine()), [("polkit", "error", "not there")])
        bench.stop_fake()
        bad = [(one["check"], one["text"]) for one in bench.examine()]
        check(("penteld", "penteld is not running") in bad, f"no penteld: {bad}")
        bench.env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"
        compare("the bus", bench.examine(), [("bus", "error", "D-Bus")])


def explains_penteld():
    """Systemd knows why penteld does not run."""
    groups = well()
    groups["penteld"] = {"absent": "true"}
    with Machine(groups) as bench:
        bench.start_fake()
        compare("loaded", bench.examine(), [("penteld", "error", "is not running")])
        for load, active, word in (("not-found", "inactive", "not installed"), ("masked", "inactive", "masked"),
                                   ("loaded", "failed", "has failed")):
            bench.change(f"Unit {PENTELD}", **unit(load, active))
            compare(f"penteld.service {load}", bench.examine(), [("penteld", "error", word)])


def explains_groups():
    """A stranger is told how to join, one who joined since the log-in to log in again."""
    if os.geteuid() != 0:
        return
    with Machine() as bench:
        bench.start_fake()
        bench.write("/etc/group", "pentel:x:990:\n")
        compare("a stranger", without_pen(bench.examine(STRANGER)), [("group", "warning", "is not in")])
        name = subprocess.run(["id", "-nu", str(STRANGER)], capture_output=True, text=True).stdout.strip()
        bench.write("/etc/group", f"pentel:x:990:{name}\n")
        compare("a newcomer", without_pen(bench.examine(STRANGER)), [("group", "warning", "at log-in")])
        bench.write("/etc/group", f"pentel:x:{STRANGER}:\n")
        compare("a member", without_pen(bench.examine(STRANGER)), [])


if __name__ == "__main__":
    fake.main([doctor, finds_nothing, finds_on_the_bus, finds_in_the_files, finds_old_bluez, follows_disks_down,
               finds_missing_services, explains_penteld, explains_groups])
