# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""How the guest's file system differs from the root that it was booted from, so that two
moments can be compared. What is written goes to the overlay's upper folder and is found there."""
import filecmp
import grp
import os
import pwd
import stat
import subprocess
from pathlib import Path

LOWER, UPPER = "/lower", "/rw/upper"
# Not of the system, or what apt, dpkg, the user data base and the test keep of their own work.
NOT_COMPARED = ("/dev", "/proc", "/sys", "/run", "/radio", "/lower", "/rw", "/tmp", "/srv", "/root", "/home",
                "/var/tmp", "/var/log", "/var/cache", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/bluetooth",
                "/var/lib/systemd/timers", "/var/lib/systemd/random-seed", "/etc/apt/apt.conf.d/90yes",
                *(f"/etc/{name}{end}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid", ".pwd.lock")
                  for end in ("", "-")))


def entry(path):
    """Kind, mode and owner, and of what is no folder its size and target; None for nothing."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        return "deleted"
    text = f"{stat.filemode(found.st_mode)} {name_of(pwd.getpwuid, found.st_uid)}:{name_of(grp.getgrgid, found.st_gid)}"
    if stat.S_ISDIR(found.st_mode):
        return text
    return f"{text} {found.st_size} {os.readlink(path) if stat.S_ISLNK(found.st_mode) else ''}".rstrip()


def name_of(look_up, number):
    try:
        return look_up(number)[0]
    except KeyError:
        return str(number)


def is_as_below(path, found):
    if entry(LOWER + path) != found:
        return False
    return not os.path.isfile(LOWER + path) or os.path.islink(LOWER + path) or filecmp.cmp(
        LOWER + path, UPPER + path, shallow=False)


def files():
    """Path and description of everything that is new, other or gone."""
    found = {}
    for folder, folders, names in os.walk(UPPER):
        here = folder[len(UPPER):]
        folders[:] = [name for name in folders if f"{here}/{name}" not in NOT_COMPARED]
        for name in folders + names:
            path = f"{here}/{name}"
            text = entry(UPPER + path)
            if path not in NOT_COMPARED and not is_as_below(path, text):
                found[path] = text
    return found


def users():
    return {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}


def of_packages(names):
    """What they hold; a package for Debian 12 may say /lib, which is /usr/lib."""
    done = subprocess.run(["dpkg", "-L", *names], capture_output=True, text=True, check=True, timeout=60)
    return {f"/usr{path}" if path.startswith("/lib") else path for path in done.stdout.split("\n")}


def differences(before, after, but):
    """What differs between two moments; but names paths, or folders with a slash behind."""
    folders = tuple(path for path in but if path.endswith("/"))
    return [f"{path}: {before.get(path, 'not there')} -> {after.get(path, 'not there')}"
            for path in sorted({*before, *after})
            if before.get(path) != after.get(path) and path not in but and not (folders and path.startswith(folders))]
