# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Plays the shim's log onto a disk that knows what is durable and what is only written.

A file's bytes are durable once the file was synced, its name once the directory was. At a
power cut each write that was not synced may or may not have reached the disk, by sectors;
names come in the order in which they were given.
"""

import os
import shutil
import struct
from dataclasses import dataclass, field
from pathlib import Path

ENTRY = struct.Struct("<IIQQQ")  # ShimEntry
SECTOR = 512


def put(content, at, data):
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at:at + len(data)] = data


def resize(content, length):
    del content[length:]
    content.extend(bytes(length - len(content)))


def play(content, ops):
    for at, data in ops:
        if data is None:
            resize(content, at)
        else:
            put(content, at, data)


@dataclass
class File:
    durable: bytearray = field(default_factory=bytearray)
    now: bytearray = field(default_factory=bytearray)  # as who reads it sees it
    waiting: list = field(default_factory=list)  # (offset, bytes), or (length, None) for a cut

    def do(self, ops):
        play(self.now, ops)
        self.waiting += ops

    def apply(self, ops):
        play(self.durable, ops)


@dataclass
class Folder:
    durable: dict = field(default_factory=dict)  # name to inode
    now: dict = field(default_factory=dict)


class Disk:
    """What lies below one directory, by inode."""

    def __init__(self, root):
        self.root = Path(root)
        self.logs = []  # of processes that ended, in order
        self.begin_anew()

    def begin_anew(self):
        """Everything that is there now is durable: a machine that has just started."""
        self.nodes = {}
        self.names = []  # changes of names that no sync made durable, in order
        self.logs.clear()
        for folder, _, files in os.walk(self.root):
            self._learn(Path(folder), files)

    def _learn(self, folder, files):
        self.nodes[folder.stat().st_ino] = node = Folder()
        for entry in os.scandir(folder):
            if not entry.name.endswith("-shm"):
                node.durable[entry.name] = entry.inode()
        node.now = dict(node.durable)
        for name in files:
            path = folder / name
            content = path.read_bytes()
            self.nodes[path.stat().st_ino] = File(bytearray(content), bytearray(content))

    def replay(self):
        """Everything that ended processes did since the last time."""
        for log in self.logs:
            data = log.read_bytes() if log.exists() else b""
            at = 0
            while at + ENTRY.size <= len(data):
                kind, n_data, inode, a, b = ENTRY.unpack_from(data, at)
                at += ENTRY.size
                if at + n_data > len(data):
                    break
                self._take(chr(kind), inode, a, b, data[at:at + n_data])
                at += n_data
            if not os.environ.get("PENTEL_KEEP"):
                log.unlink(missing_ok=True)
            self._reconcile(self.root)
        self.logs.clear()

    def _reconcile(self, folder):
        """A process that was killed may have done one thing more than it logged."""
        node = self.nodes[folder.stat().st_ino]
        there = {entry.name: entry for entry in os.scandir(folder)
                 if not entry.name.endswith("-shm")}
        for name in set(node.now) - set(there):
            self._name(folder.stat().st_ino, name, None)
        for name, entry in there.items():
            known = self.nodes.setdefault(entry.inode(), Folder() if entry.is_dir() else File())
            if node.now.get(name) != entry.inode():
                self._name(folder.stat().st_ino, name, entry.inode())
            if entry.is_dir():
                self._reconcile(folder / name)
                continue
            content = (folder / name).read_bytes()
            if known.now != content:
                known.do([(len(content), None), (0, content)])

    def _take(self, kind, inode, a, b, data):
        if kind == "W":
            self.nodes[inode].do([(a, data)])
        elif kind == "T":
            self.nodes[inode].do([(a, None)])
        elif kind == "S":
            self._sync(inode)
        elif kind == "X":
            self._give_up(inode)
        elif kind == "C":
            self.nodes[a] = Folder() if b else File()
            self._name(inode, data.decode(), a)
        elif kind == "U":
            self._name(inode, data.decode(), None)
        elif kind == "R":
            self._rename(inode, a, *data.decode().split("\0")[:2])

    def _name(self, folder, name, inode):
        node = self.nodes[folder]
        if inode is None:
            node.now.pop(name, None)
        else:
            node.now[name] = inode
        self.names.append(((folder, name, inode),))

    def _rename(self, folder, new_folder, name, new_name):
        inode = self.nodes[folder].now.pop(name)
        self.nodes[new_folder].now[new_name] = inode
        self.names.append(((new_folder, new_name, inode), (folder, name, None)))

    def _make_durable(self, change):
        for folder, name, inode in change:
            if inode is None:
                self.nodes[folder].durable.pop(name, None)
            else:
                self.nodes[folder].durable[name] = inode

    def _sync(self, inode):
        node = self.nodes[inode]
        if isinstance(node, File):
            node.apply(node.waiting)
            node.waiting = []
            return
        waiting = []
        for change in self.names:
            if any(folder == inode for folder, _, _ in change):
                self._make_durable(change)
            else:
                waiting.append(change)
        self.names = waiting

    def _give_up(self, inode):
        """After a sync that failed the kernel takes the pages for clean: who reads them sees
        what was written, and no later sync brings it to the disk."""
        node = self.nodes[inode]
        if isinstance(node, File):
            node.waiting = []

    def cut(self, luck):
        """The power goes: the directory becomes what was durable, and some of the rest."""
        self.replay()
        keep = luck.choice(("nothing", "some", "some", "all"))
        if keep != "nothing":
            n_names = len(self.names) if keep == "all" else luck.randint(0, len(self.names))
            for change in self.names[:n_names]:
                self._make_durable(change)
            for node in self.nodes.values():
                if isinstance(node, File):
                    node.apply(node.waiting if keep == "all" else self._some(node, luck))
        root = self.root.stat().st_ino
        made = self.root.with_name(self.root.name + ".cut")
        self._write(root, made)
        shutil.rmtree(self.root)
        made.rename(self.root)
        self.begin_anew()
        return keep

    def _some(self, node, luck):
        share = luck.random()
        for at, data in node.waiting:
            if data is None:
                if luck.random() < share:
                    yield at, None
                continue
            end = at + len(data)
            while at < end:
                stop = min(end, (at // SECTOR + 1) * SECTOR)
                if luck.random() < share:
                    yield at, data[len(data) - (end - at):len(data) - (end - stop)]
                at = stop

    def _write(self, inode, path):
        node = self.nodes[inode]
        if isinstance(node, File):
            path.write_bytes(node.durable)
            path.chmod(0o600)
            return
        path.mkdir(mode=0o700)
        for name, below in node.durable.items():
            self._write(below, path / name)
