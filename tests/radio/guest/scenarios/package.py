# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""The packages on a running system: install, use, remove, install again, purge"""

from pathlib import Path

from harness import Failure

BOOT = "fresh"
ORDER = 1
LIMIT_S = 200

WATCHED = ("/etc", "/var/lib", "/usr/bin", "/usr/libexec", "/usr/lib/systemd", "/usr/lib/udev",
           "/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d", "/usr/share/dbus-1", "/usr/share/polkit-1")
# What apt, dpkg and the users keep of any package.
OWN_AFFAIRS = ("/var/lib/dpkg/", "/var/lib/apt/", "/etc/passwd", "/etc/group", "/etc/shadow",
               "/etc/gshadow", "/etc/.pwd.lock", "/etc/subuid", "/etc/subgid", "/var/lib/systemd/")
ADMINS = ("/etc/pentel/site-note.txt", "/etc/dbus-1/system-local.conf")
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "--no-install-recommends")
PACKAGES = ("penteld", "pentelctl", "pentel-sync", "pentel-pensim")


def files(rig):
    text = rig.sh("find", *WATCHED, "!", "-type", "d", timeout=60)
    return {line for line in text.splitlines() if not line.startswith(OWN_AFFAIRS)}


def debs():
    return sorted(str(p) for p in Path("/radio/debs").glob("*.deb") if "-dbgsym" not in p.name)


def check_service(rig):
    rig.wait(lambda: rig.is_active("penteld.service"), 20, "penteld to be active")
    shown = rig.show("penteld.service", "Type", "SubState", "User", "UnitFileState", "NRestarts")
    wanted = {"Type": "notify", "SubState": "running", "User": "pentel", "UnitFileState": "enabled",
              "NRestarts": "0"}
    if shown != wanted:
        raise Failure(f"penteld.service is {shown}\n{rig.journal('penteld')}")


def check_people(rig):
    """root and members of the group are let in, others are not: policy without a reboot."""
    rig.sh("useradd", "--groups", "pentel", "nurse")
    rig.sh("useradd", "stranger")
    rig.ctl_ok("status")
    for user, status in (("nurse", 0), ("stranger", 4)):
        done = rig.ctl("sessions", user=user)
        if done.returncode != status:
            raise Failure(f"pentelctl sessions as {user}: exit {done.returncode}: {done.stderr}")


def check_exposure(rig):
    text = rig.sh("systemd-analyze", "security", "penteld.service", "--no-pager", timeout=60)
    exposure = float(text.split("exposure level for penteld.service:")[1].split()[0])
    if exposure > 0.3:
        raise Failure(f"exposure {exposure}\n{text[-3000:]}")
    return exposure


def store_files():
    return {str(p) for p in Path("/var/lib/pentel").rglob("*") if p.is_file()}


def run(rig):
    before = files(rig)
    rig.sh(*APT, "install", *debs(), timeout=120)
    check_service(rig)
    check_people(rig)
    exposure = check_exposure(rig)
    rig.sh(*APT, "install", "--reinstall", *debs(), timeout=120)
    check_service(rig)
    for path in ADMINS:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("<busconfig/>\n")
    held = store_files()
    if not held:
        raise Failure("penteld keeps nothing in /var/lib/pentel")
    rig.sh(*APT, "remove", *PACKAGES, timeout=60)
    if rig.is_active("penteld.service") or Path("/usr/libexec/penteld").exists():
        raise Failure("penteld is still there after remove")
    if not any(name.endswith("index.db") for name in store_files()):
        raise Failure(f"remove took the store: {sorted(held)} became {sorted(store_files())}")
    rig.sh(*APT, "install", *debs(), timeout=120)
    check_service(rig)
    rig.sh(*APT, "purge", *PACKAGES, timeout=60)
    left = files(rig) - before - set(ADMINS)
    gone = (before | set(ADMINS)) - files(rig)
    if left or gone or Path("/var/lib/pentel").exists():
        raise Failure(f"purge left {sorted(left)}, took {sorted(gone)}")
    return f"exposure {exposure}, purge leaves nothing"
