# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Bad input: one line that names file, key and remedy, an exit code of its own."""

import os
import socket
import subprocess
import threading

import bench as b
from bench import check

DIRECTORY = "[sink]\nkind=directory\n"
POSTGRESQL = "[sink]\nkind=postgresql\n[postgresql]\n"

# What is in the file, and words that the one line must have.
FILES = [
    ("", ("[sink] kind", "missing")),
    ("kind=directory\n", ("x.conf",)),
    ("[sink]\nkind=ftp\n", ("[sink] kind", "'ftp'", "directory", "postgresql")),
    ("[sink]\nkind=directory\nunbuond=send\n", ("[sink] unbuond", "did you mean unbound")),
    (DIRECTORY + "[directroy]\npath=/tmp\n", ("[directroy]", "did you mean directory")),
    (DIRECTORY + "[directory]\npath=files\n", ("[directory] path", "'files'", "begin it with /")),
    (DIRECTORY + "[directory]\npath=\n", ("[directory] path", "empty")),
    (DIRECTORY + "[postgresql]\nconninfo=host=/x\n", ("[postgresql]",)),
    ("[sink]\nkind=directory\nunbound=maybe\n", ("[sink] unbound", "'maybe'", "wait, send")),
    ("[sink]\nkind=directory\nraw=1\n", ("[sink] raw", "no, yes")),
    ("[sink]\nkind=directory\npoll-s=0\n", ("[sink] poll-s", "'0'", "1 to 86400")),
    ("[sink]\nkind=directory\npoll-s=soon\n", ("[sink] poll-s", "'soon'")),
    ("[sink]\nkind=directory\npoll-s=99999999999999999999\n", ("[sink] poll-s",)),
    ("[sink]\nkind=directory\ngateway=\n", ("[sink] gateway", "empty")),
    (POSTGRESQL, ("[postgresql] conninfo", "missing")),
    (POSTGRESQL + "conninfo=host=/x\npassword=../etc/shadow\n", ("[postgresql] password", "no name")),
    (POSTGRESQL + "conninfo=host=/x\npassword=nowhere\n", ("[postgresql] password", "credstore")),
    (POSTGRESQL + "conninfo=user='\n", ("[postgresql] conninfo",)),
    (POSTGRESQL + "conninfo=host=/x password=my hush word\n", ("[postgresql] conninfo", "not shown")),
    (POSTGRESQL + "conninfo=host=/x pasword='hush\n", ("[postgresql] conninfo",)),
    (POSTGRESQL + "conninfo=postgresql://u:hush@[::1/x\n", ("[postgresql] conninfo", "not shown")),
    (POSTGRESQL + "conninfo=postgres://u:hush@db/x\n", ("[postgresql] conninfo", "credstore")),
    (POSTGRESQL + "conninfo=service=clinic\n", ("[postgresql] conninfo", "service")),
    ("[sink]\nkind=dir\x1b]0;ectory\x07\n", ("[sink] kind", "\\x1b")),
]


def files(bench):
    for text, words in FILES:
        bench.configure("x", text)
        try:
            done = bench.run("x", "--once")
            b.expect_line(bench, done, b.CONFIG, "x.conf", *words)
            check("hush" not in done.stderr + done.stdout, f"it shows the password: {done.stderr}")
        except b.Failure as failure:
            raise b.Failure(f"{text!r}: {failure}")
    (bench.directory / "x.conf").unlink()
    b.expect_line(bench, bench.run("x", "--once"), b.CONFIG, "no such file", "pentel-sync.conf(5)")
    (bench.directory / "x.conf").write_bytes(b"[sink]\nkind=direct\xff\xfeory\n")
    b.expect_line(bench, bench.run("x", "--once"), b.CONFIG, "x.conf")
    (bench.directory / "x.conf").write_bytes(os.urandom(4096))
    b.expect_line(bench, bench.run("x", "--once"), b.CONFIG, "x.conf")
    return f"{len(FILES) + 3} files"


def words(bench):
    def line(code, expected, *argv):
        done = subprocess.run([str(b.SYNC), *argv], env=bench.env, capture_output=True, text=True, timeout=30)
        b.expect_line(bench, done, code, *expected)
    line(b.USAGE, ("name of the sink is missing", "pentel-sync --once clinic"))
    line(b.USAGE, ("one sink at a time",), "a", "b")
    for name in ("../x", "1st", "a b", "", "a" * 65, "-", "é"):
        line(b.USAGE, ("no name of a sink",) if name != "-" else (), *(["--", name]))
    line(b.USAGE, ("--frobnicate", "--help"), "--frobnicate", "a")
    line(b.USAGE, ("--migrate goes alone",), "--migrate", "--once", "a")
    done = subprocess.run([str(b.SYNC), "--version"], capture_output=True, text=True, timeout=30)
    check(done.returncode == 0 and done.stdout.startswith("pentel-sync "), "--version")


def surroundings(bench):
    bench.configure("x", DIRECTORY)
    done = bench.run("x", "--once", env=dict(bench.env, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent"))
    b.expect_line(bench, done, b.FAILED, "D-Bus cannot be reached")
    done = bench.run("x", "--once")
    check(done.returncode == b.WAITING and "penteld is not running" in done.stderr, done.stderr)
    (bench.directory / "blocked").write_text("a file")
    done = subprocess.run([str(b.SYNC), f"--config={bench.directory}/x.conf", "--once",
                           f"--state-dir={bench.directory}/blocked/x", "x"], env=bench.env,
                          capture_output=True, text=True, timeout=30)
    b.expect_line(bench, done, b.STATE, "blocked/x", "--state-dir")


class Listener:
    """Something on TCP that has no TLS: what it is told in the clear."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked, self.told = 0, b""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(5)
                try:
                    first = peer.recv(4096)
                    if first == bytes.fromhex("0000000804d2162f"):  # SSLRequest
                        self.asked += 1
                        peer.sendall(b"N")
                        first = peer.recv(4096)
                    self.told += first
                except OSError:
                    pass


def in_the_clear(bench):
    """Whatever else is in conninfo, nothing goes to a server that has not proved who it is."""
    bench.penteld()
    listener = Listener()
    for conninfo, more in (("host=/nowhere,localhost", {}), ("host=/nowhere hostaddr=127.0.0.1", {}),
                           ("hostaddr=127.0.0.1", {}), ("host=localhost", {}), ("", {"PGHOST": "localhost"}),
                           ("", {"PGHOSTADDR": "127.0.0.1"}), ("host=/nowhere,127.0.0.1", {})):
        asked = listener.asked
        bench.configure("x", POSTGRESQL + f"conninfo=dbname=clinic user=gateway port={listener.port} "
                        f"{conninfo}\n")
        done = bench.run("x", "--migrate", env=dict(bench.env, **more))
        check(done.returncode != 0 and listener.asked == asked + 1, f"{conninfo} {more}: did not ask: {done}")
        check(listener.told == b"", f"{conninfo} {more}: in the clear: {listener.told}")
    listener.socket.close()


if __name__ == "__main__":
    b.main([files, words, surroundings, in_the_clear], 110)
