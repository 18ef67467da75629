# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""A PostgreSQL of our own on a unix socket in a temporary directory, and PgBouncer before it."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bench import Failure, check

PORT = 54329


def find_binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


class Server:
    """A context manager; runs as user postgres, as it refuses to run as root."""

    def __init__(self):
        self.bin = find_binaries()
        check(self.bin is not None, "no PostgreSQL: apt install postgresql")
        self.directory = Path(tempfile.mkdtemp(prefix="pentel-pg-"))
        self.user = "postgres" if os.getuid() == 0 else None
        self.process = self.bouncer = None

    def __enter__(self):
        if self.user:
            shutil.chown(self.directory, self.user)
        self.directory.chmod(0o755)
        self.command("initdb", "-D", self.data, "-U", "owner", "-A", "trust", "--no-sync",
                     "-E", "UTF8", "--locale=C.UTF-8")
        with open(self.data / "postgresql.conf", "a") as config:
            config.write(f"listen_addresses = ''\nport = {PORT}\n"
                         f"unix_socket_directories = '{self.directory}'\nfsync = off\n"
                         "max_connections = 120\nlog_min_messages = warning\n")
        self.start()
        self.sql("create database clinic", database="postgres")
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and (self.directory / "log").exists():
            print("--- postgres\n" + (self.directory / "log").read_text(errors="replace")[-3000:])
        self.stop_bouncer()
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def data(self):
        return self.directory / "data"

    def spawn(self, log, *argv):
        with open(self.directory / log, "ab") as out:
            return subprocess.Popen([str(word) for word in argv], user=self.user, stdout=out,
                                    stderr=out, stdin=subprocess.DEVNULL, cwd="/",
                                    env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})

    def command(self, name, *argv):
        done = subprocess.run([str(self.bin / name), *map(str, argv)], user=self.user, cwd="/",
                              capture_output=True, text=True, timeout=120)
        check(done.returncode == 0, f"{name}: {done.stderr}")

    def start(self):
        self.process = self.spawn("log", self.bin / "postgres", "-D", self.data)
        end = time.monotonic() + 60
        while not self.answers():
            check(time.monotonic() < end and self.process.poll() is None, "PostgreSQL did not start")
            time.sleep(0.1)

    def answers(self):
        return subprocess.run([str(self.bin / "psql"), "-h", str(self.directory), "-p", str(PORT),
                               "-U", "owner", "-d", "postgres", "-c", "select 1"],
                              capture_output=True, timeout=30).returncode == 0

    def stop(self, number=signal.SIGINT):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def kill(self):
        """As a crash of the server: every process of it at once."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *map(int, children)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)
        self.process = None
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def start_bouncer(self):
        """PgBouncer in transaction mode before it; its port."""
        port = PORT + 1
        (self.directory / "users.txt").write_text('"owner" ""\n"gateway" ""\n"gw2" ""\n')
        (self.directory / "bouncer.ini").write_text(
            f"[databases]\nclinic = host={self.directory} port={PORT} dbname=clinic\n"
            f"[pgbouncer]\nlisten_addr =\nlisten_port = {port}\nunix_socket_dir = {self.directory}\n"
            f"auth_type = trust\nauth_file = {self.directory}/users.txt\npool_mode = transaction\n"
            "default_pool_size = 4\nmax_client_conn = 500\nserver_reset_query_always = 0\n")
        binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin") or "pgbouncer"
        self.bouncer = self.spawn("bouncer.log", binary, self.directory / "bouncer.ini")
        end = time.monotonic() + 20
        while not (self.directory / f".s.PGSQL.{port}").exists():
            check(time.monotonic() < end and self.bouncer.poll() is None, "PgBouncer did not start: " +
                  (self.directory / "bouncer.log").read_text())
            time.sleep(0.1)
        return port

    def stop_bouncer(self):
        if self.bouncer is not None:
            self.bouncer.kill()
            self.bouncer.wait(10)
            self.bouncer = None

    def conninfo(self, user="gateway", port=PORT, database="clinic"):
        return f"host={self.directory} port={port} dbname={database} user={user}"

    def sql(self, text, database="clinic", user="owner"):
        """Rows of the last statement as lists of text; raises with the server's words."""
        done = subprocess.run(
            [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
             "-h", str(self.directory), "-p", str(PORT), "-U", user, "-d", database, "-c", text],
            capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failure(f"{text[:80]}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def value(self, text, **more):
        return self.sql(text, **more)[0][0]

    def json(self, text, **more):
        """The rows of a query as dictionaries."""
        rows = self.sql(f"select coalesce(json_agg(q), '[]') from ({text}) q", **more)
        return json.loads("".join(row[0] for row in rows))

    def wait(self, condition, timeout, what):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"waited {timeout} s for {what}")
            time.sleep(0.1)


def user_exists(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False
