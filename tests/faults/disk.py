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


@dataclass
class File:
    durable: bytearray = field(default_factory=bytearray)
    waiting: list = field(default_factory=list)  # (offset, bytes), or (length, None) for a cut

    def apply(self, ops):
        for at, data in ops:
            if data is None:
                resize(self.durable, at)
            else:
                put(self.durable, at, data)


@dataclass
class Folder:
    durable: dict = field(default_factory=dict)  # name to inode
    now: dict = field(default_factory=dict)


class Disk:
    """What lies below one directory, by inode."""

    def __init__(self, root, log):
        self.root = Path(root)
        self.log = Path(log)
        self.begin_anew()

    def begin_anew(self):
        """Everything that is there now is durable: a machine that has just started."""
        self.nodes = {}
        self.names = []  # changes of names that no sync made durable, in order
        self.at = self.log.stat().st_size if self.log.exists() else 0
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
            self.nodes[path.stat().st_ino] = File(bytearray(path.read_bytes()))

    def replay(self):
        """Everything that was logged since the last time."""
        with open(self.log, "rb") as log:
            log.seek(self.at)
            data = log.read()
        at = 0
        while at + ENTRY.size <= len(data):
            kind, n_data, inode, a, b = ENTRY.unpack_from(data, at)
            at += ENTRY.size
            self._take(chr(kind), inode, a, b, data[at:at + n_data])
            at += n_data
        self.at += at

    def _take(self, kind, inode, a, b, data):
        if kind == "W":
            self.nodes[inode].waiting.append((a, data))
        elif kind == "T":
            self.nodes[inode].waiting.append((a, None))
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
        """After a sync that failed the kernel takes the pages for clean."""
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
