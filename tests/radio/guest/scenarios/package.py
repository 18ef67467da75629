# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""README.md's section Install, word for word: install, upgrade, remove, reinstall, purge"""

import re
from pathlib import Path

import listing
import readme
from harness import Failure

BOOT = "fresh"
ORDER = 1
LIMIT_S = 300

HOME = Path("/srv/pentel")
STATE = Path("/var/lib/pentel")
# README.md's lines for the guest, in this order; one that is not known here is a failure.
WANTED = (r"apt install ((?:\./build/debs/\w+_\*\.deb ?)+)", r"adduser NAME pentel", r"apt remove ([\w -]+)",
          r"apt purge ([\w -]+)")
ALL = ("penteld", "pentelctl", "pentel-sync", "pentel-pensim")
# They stay, so that a file that is left somewhere never belongs to somebody else.
USERS = {"pentel", "pentel-sync"}
ADMINS = {"/etc/pentel/site-note.txt": "note\n", "/etc/dbus-1/system-local.conf": "<busconfig/>\n",
          "/etc/systemd/system/penteld.service.d/site.conf": "[Service]\nNice=1\n"}
ADMINS_PATHS = {*ADMINS, *(str(Path(path).parent) for path in ADMINS)}
# That the unit is enabled: systemd's own and Debian's note of it.
ENABLED = {"/etc/systemd/system/multi-user.target.wants/penteld.service",
           "/var/lib/systemd/deb-systemd-helper-enabled/penteld.service.dsh-also",
           "/var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants/penteld.service"}
KEPT = {str(STATE), f"{STATE}/"}
# Made of every package's messages.
SHARED = {"/var/lib/systemd/catalog/database"}


def readme_lines():
    lines = [line for line in readme.commands(Path("/radio/in/README.md").read_text())
             if line not in readme.ON_THE_BUILDER]
    if len(lines) != len(WANTED) or not all(re.fullmatch(*pair) for pair in zip(WANTED, lines)):
        raise Failure(f"README.md's section Install has {lines}")
    return lines


def as_written(rig, line, folder="debs"):
    """A line of README.md where the packages were built. Nobody is there to be asked."""
    (HOME / "build").mkdir(parents=True, exist_ok=True)
    (HOME / "build/debs").unlink(missing_ok=True)
    (HOME / "build/debs").symlink_to(f"/radio/{folder}")
    Path("/etc/apt/apt.conf.d/90yes").write_text('APT::Get::Assume-Yes "true";\n')
    rig.sh("sh", "-c", f"cd {HOME} && exec {line}", timeout=120)


def check_service(rig):
    rig.wait(lambda: rig.is_active("penteld.service"), 20, "penteld to be active")
    wanted = {"Type": "notify", "SubState": "running", "User": "pentel", "UnitFileState": "enabled",
              "NRestarts": "0", "NeedDaemonReload": "no"}
    shown = rig.show("penteld.service", *wanted)
    if shown != wanted:
        raise Failure(f"penteld.service is {shown}\n{rig.journal('penteld')}")
    rig.ctl_ok("status")


def check_people(rig):
    """Members of the group are let in, others are not: the policy is there without a reboot."""
    for user, status in (("nurse", 0), ("stranger", 4)):
        done = rig.ctl("sessions", user=user)
        if done.returncode != status:
            raise Failure(f"pentelctl sessions as {user}: exit {done.returncode}: {done.stderr}")


def check_same(what, before, after, but=frozenset()):
    changed = listing.differences(before, after, but)
    if changed:
        raise Failure(f"{what}: {len(changed)} differ\n" + "\n".join(changed[:40]))


def check_users(what, before, new=frozenset()):
    now = listing.users()
    if now != before | new:
        raise Failure(f"{what}: users new {sorted(now - before - new)}, lost {sorted((before | new) - now)}")


def check_gone(rig):
    """Neither the program nor the unit nor the name on the bus."""
    # The link that enables the unit is remove's to keep, and names one that is not found.
    units = rig.sh("systemctl", "list-units", "--all", "--plain", "--no-legend", "pentel*").splitlines()
    units = [line for line in units if " not-found inactive dead " not in line]
    found = rig.run("systemctl", "list-unit-files", "--no-legend", "pentel*").stdout
    if units or found.strip() or rig.run("pgrep", "-x", "penteld").returncode == 0:
        raise Failure(f"still there: {units} {found} {rig.run('pgrep', '-a', 'pentel').stdout}")
    if rig.run("busctl", "call", "org.pentel", "/org/pentel", "org.freedesktop.DBus.Peer", "Ping").returncode == 0:
        raise Failure("org.pentel answers")


def store_id(rig):
    return rig.sh("busctl", "get-property", "org.pentel", "/org/pentel/manager", "org.pentel.Log1", "StoreId")


def put_admins_files(rig):
    for path, text in ADMINS.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    rig.sh("systemctl", "daemon-reload")


def check_admins_files():
    lost = [path for path, text in ADMINS.items() if not Path(path).exists() or Path(path).read_text() != text]
    if lost:
        raise Failure(f"the admin's files were changed: {lost}")


def life(rig):
    """From nothing to nothing, as README.md says."""
    install, people, remove, purge = readme_lines()
    # It runs already, and has to see by itself that rules have come.
    rig.sh("systemctl", "start", "polkit.service", timeout=60)
    before, users = listing.files(), listing.users()
    as_written(rig, install)
    check_service(rig)
    check_users("install", users, USERS)
    for user in ("nurse", "stranger"):
        rig.sh("useradd", user)
    users = listing.users()
    as_written(rig, people.replace("NAME", "nurse"))
    check_people(rig)
    installed = listing.files()
    check_same("install", before, installed, listing.of_packages(["penteld", "pentelctl"]) | SHARED | ENABLED | KEPT)
    kept, old = store_id(rig), rig.show("penteld.service", "MainPID")

    as_written(rig, install, "newer")
    check_service(rig)
    check_people(rig)
    check_same("upgrade", installed, listing.files(), KEPT)
    if store_id(rig) != kept or rig.show("penteld.service", "MainPID") == old:
        raise Failure("the upgrade lost the store or left the old penteld running")

    put_admins_files(rig)
    as_written(rig, remove)
    check_gone(rig)
    check_same("remove", before, listing.files(), ENABLED | KEPT | ADMINS_PATHS)

    as_written(rig, install)
    check_service(rig)
    check_people(rig)
    check_same("reinstall", installed, listing.files(), KEPT | ADMINS_PATHS)
    if store_id(rig) != kept:
        raise Failure("reinstall did not find the store that remove left")

    as_written(rig, purge)
    check_gone(rig)
    check_same("purge", before, listing.files(), ADMINS_PATHS)
    check_admins_files()
    check_users("purge", users)
    return before, users


def all_on_a_disk(rig, before, users):
    """Every package, the store on a file system of its own, which purge empties and leaves."""
    STATE.mkdir()
    rig.sh("mount", "-t", "tmpfs", "-o", "size=64m", "disk", STATE)
    try:
        as_written(rig, f"apt install {' '.join(f'./build/debs/{name}_*.deb' for name in ALL)}")
        check_service(rig)
        check_same("install of all", before, listing.files(),
                   listing.of_packages(ALL) | SHARED | ENABLED | KEPT | ADMINS_PATHS)
        as_written(rig, f"apt purge {' '.join(ALL)}")
        if any(STATE.iterdir()):
            raise Failure(f"purge left {sorted(STATE.iterdir())}")
    finally:
        rig.sh("umount", STATE)
    STATE.rmdir()
    check_gone(rig)
    check_same("purge of all", before, listing.files(), ADMINS_PATHS)
    check_admins_files()
    check_users("purge of all", users)


def run(rig):
    before, users = life(rig)
    # What a maintainer script does there is not another Debian's matter; it takes long.
    if 'VERSION_ID="13"' in Path("/etc/os-release").read_text():
        all_on_a_disk(rig, before, users)
    return f"exactly what belongs at each step; purge leaves the users {', '.join(sorted(USERS))} and nothing else"
