# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""What guests boot from: packages built as README.md says, root file systems with them.

Everything is kept in build/ and made anew when what it is made of changes. Each part runs
in namespaces of its own, so that its processes and mounts end with it however it ends.
"""
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
CACHE = SOURCE / "build" / "radio"
DEBS = SOURCE / "build" / "debs"
SKIPPED = 77
CONFINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--mount-proc",
            "--kill-child=KILL")

sys.path.insert(0, str(HERE / "guest"))
import readme  # noqa: E402

# Guest -> its userland and its kernel. One command line of the runner runs them all.
GUESTS = {"13": ("13", "13"), "12": ("12", "13"), "12-6.1": ("12", "12")}
BUILD_COMMANDS = {
    "apt build-dep ./": ("apt-get", "-qy", "--no-install-recommends", "build-dep", "./"),
    "tests/radio/build-debs": ("tests/radio/build-debs",),
}


def confined():
    """The words in front of a command; a container may not allow them."""
    try:
        done = subprocess.run([*CONFINED, "true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return CONFINED if done.returncode == 0 else CONFINED[:3]


def step(what, argv, limit_s, log):
    """A part of the preparation; its output is kept and shown when it fails."""
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        try:
            status = subprocess.run([*confined(), *(str(word) for word in argv)], stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=out, timeout=limit_s, cwd=SOURCE, check=False).returncode
        except subprocess.TimeoutExpired:
            status = 124
    if status != 0:
        text = log.read_text(errors="replace").splitlines()[-30:]
        print("\n".join(f"    {line}" for line in text))
        print(f"{what}: exit {status}, the whole in {log}")
        sys.exit(SKIPPED if status == SKIPPED else 1)
    seconds = time.monotonic() - began
    if seconds > 2:
        print(f"...    {what} ({seconds:.0f} s)", flush=True)


def build():
    """The commands of README.md that come before the packages are there."""
    for command in readme.commands((SOURCE / "README.md").read_text()):
        if command in BUILD_COMMANDS:
            log = CACHE / f"{command.split()[0].rsplit('/', 1)[-1]}.log"
            step(command, BUILD_COMMANDS[command], 900, log)


def install_debs(release):
    """The base root with the project's packages installed by apt; made anew for new packages."""
    base, root = CACHE / f"root-{release}", CACHE / f"pentel-{release}"
    mark = root / "pentel-commit"
    made_of = (DEBS / "commit").read_text() + (base / "made-by").read_text()
    if mark.exists() and mark.read_text() == made_of:
        return
    shutil.rmtree(root, ignore_errors=True)
    step(f"copy of root {release}", ["cp", "-a", base, root], 120, CACHE / "copy.log")
    debs = [path for path in DEBS.glob("*.deb") if "-dbgsym" not in path.name]
    (root / "debs").mkdir()
    for path in debs:
        shutil.copy(path, root / "debs")
    words = " ".join(f"/debs/{path.name}" for path in debs)
    step(f"packages into root {release}",
         ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "sh", "-c",
          f"apt-get install -y --no-install-recommends {words}"],
         300, CACHE / f"install-{release}.log")
    shutil.rmtree(root / "debs")
    mark.write_text(made_of)


def prepare(guests):
    build()
    for release in sorted({r for guest in guests for r in GUESTS[guest]}, reverse=True):
        step(f"root of Debian {release}", [HERE / "build-root", release, CACHE], 1200,
             CACHE / f"root-{release}.log")
    for release in sorted({GUESTS[guest][0] for guest in guests}):
        kernels = {GUESTS[guest][1] for guest in guests if GUESTS[guest][0] == release}
        install_debs(release)
        for kernel in kernels:
            tree = CACHE / f"kernel-{kernel}" / "tree/lib/modules"
            for root in (CACHE / f"root-{release}", CACHE / f"pentel-{release}"):
                subprocess.run(["cp", "-a", f"{tree}/.", root / "usr/lib/modules/"], check=True, timeout=60)


def repack(deb, folder, version):
    """The same package as its next version, for upgrades."""
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        tree = Path(work) / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True, timeout=60)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, folder], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)


def overrides():
    """Tags that the packages override, each with the comment above it."""
    found = {}
    for path in (SOURCE / "debian").rglob("*lintian-overrides"):
        reason = ""
        for line in path.read_text().splitlines():
            if line.startswith("#"):
                reason += line.lstrip("#")
            elif line.strip():
                found[line.split(":", 1)[-1].split()[0]] = reason.strip()
                reason = ""
    return found


def check_lintian():
    """No errors, no warnings, and no override without a reason."""
    bare = [tag for tag, reason in overrides().items() if not reason]
    if bare:
        return False, f"overridden without a reason: {bare}"
    done = subprocess.run(["nice", "lintian", "--fail-on", "error,warning", *DEBS.glob("*.changes")],
                          capture_output=True, text=True, timeout=300, check=False)
    said = (done.stdout or "no errors, no warnings").strip()
    return done.returncode == 0, "; ".join([said, *(f"overridden: {tag} ({reason})"
                                                    for tag, reason in overrides().items())])


def build_ids(deb, work):
    """Of the programs in a package, or of the debug files in its -dbgsym."""
    subprocess.run(["dpkg-deb", "-x", deb, work], check=True, timeout=60)
    found = set()
    for path in Path(work).rglob("*"):
        if path.is_symlink() or not path.is_file() or path.read_bytes()[:4] != b"\x7fELF":
            continue
        notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True, timeout=60)
        found.update(re.findall(r"Build ID: (\w+)", notes.stdout))
    return found


def check_dbgsym():
    """A debug file for every program of every package."""
    said = []
    for deb in sorted(DEBS.glob("*.deb")):
        if "-dbgsym" in deb.name:
            continue
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            programs = build_ids(deb, f"{work}/program")
            symbols = [build_ids(path, f"{work}/symbols") for path in DEBS.glob(f"{deb.name.split('_')[0]}-dbgsym_*.deb")]
        if programs != set().union(*symbols):
            return False, f"{deb.name} has {programs}, its -dbgsym {symbols}"
        said += [deb.name.split("_")[0]] * bool(programs)
    return bool(said), f"debug files of {', '.join(said)}"


CHECKS = {"lintian": check_lintian, "dbgsym": check_dbgsym}
