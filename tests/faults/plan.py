# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Draws from a seed what goes wrong in a run, and when."""

import errno
import random
from dataclasses import dataclass, field

from world import SHORT

ERRORS = {"enospc": errno.ENOSPC, "eio": errno.EIO, "eintr": errno.EINTR, "short": SHORT}
INDEX = "eio-index"  # only where the index is synced
# How often each kind of event is drawn.
EVENTS = {
    "kill": 3, "kill-in-write": 5, "kill-in-mark": 4, "stop": 2, "stop-in-write": 2, "cut": 5,
    "cut-in-write": 5, "cut-in-mark": 3, "lie-cut": 3, "seal-cut": 2, "enospc": 2, "eio": 2, "eintr": 2,
    "short": 2, "wall-jump": 3, "bus-restart": 1, "bluez-restart": 1, "clean-restart": 1,
}


@dataclass
class Event:
    at_s: float  # after the first pen was enrolled
    kind: str


@dataclass
class Plan:
    seed: int
    n_pens: int = 1
    sim: list = field(default_factory=list)
    settings: str = ""
    length_s: float = 0.0
    sync_us: int = 0  # a card takes its time
    events: list = field(default_factory=list)
    radio: dict = field(default_factory=dict)  # fault of the radio or the pen: 1

    @property
    def serials(self):
        return [f"PT-{i + 1:04d}" for i in range(self.n_pens)]


def draw_radio(plan, luck):
    """Faults that pensim plays by itself."""
    def maybe(share, name, *options):
        if luck.random() < share:
            plan.radio[name] = 1
            plan.sim += options

    drop = luck.choice((1, 3, 10, 30, 50))
    maybe(0.6, "drop", f"--drop={drop}")
    maybe(0.6, "disconnect", f"--disconnect-every={luck.choice((400, 1000, 3000))}",
          f"--absent-ms={luck.choice((0, 100, 500))}")
    maybe(0.4, "pen-reboot", f"--reboot-every={luck.choice((2000, 6000, 20000))}")
    maybe(0.25, "overwrite", f"--capacity={luck.choice((10, 25, 60))}")
    maybe(0.3, "pen-clock-jump", "--clock-jump")
    maybe(0.2, "bad-crc", f"--bad-crc={luck.choice((1, 5))}")
    maybe(0.3, "reorder", f"--overtake={luck.choice((20, 60))}")
    maybe(0.4, "repeat", f"--repeat={luck.choice((10, 50))}")
    maybe(0.15, "hole", "--holes=2")
    maybe(0.3, "small-mtu", f"--mtu={luck.choice((23, 64))}")
    maybe(0.3, "ticks-32768", "--tick-unit=32768")


def draw_checkpoints(plan, luck, kinds):
    """The store of a run is small: its WAL is brought over as often as that of a large one."""
    n_pages = luck.choice((8, 8, 32, 1024))
    share = 0.15 if kinds is None else 1.0 if INDEX in kinds else 0.0
    if luck.random() < share:
        # It takes a checkpoint that commits overtook, ahead of one that fails to sync.
        n_pages = 8
        plan.sync_us = max(plan.sync_us, luck.choice((1000, 15000)))
        plan.events += [Event(luck.uniform(0.0, plan.length_s), INDEX)
                        for _ in range(luck.choice((1, 2, 4)))]
    plan.settings += f"checkpoint-pages={n_pages}\n"


def draw(seed, kinds=None):
    """kinds: only these events."""
    luck = random.Random(seed)
    plan = Plan(seed, n_pens=luck.choice((1, 1, 2, 2, 3)))
    speed = luck.choice((4, 8, 16))
    plan.sim = [f"--seed={seed}", f"--pens={plan.n_pens}", f"--sessions={luck.randint(1, 3)}",
                "--passes=1", f"--speed={speed}", "--pairing=-1", "--wait-for-bond",
                "--polkit=yes", "--absent-connect-ms=1500", "--att-ms=5"]
    draw_radio(plan, luck)
    plan.settings = (f"[store]\ncommit-ms={luck.choice((20, 100, 400))}\n"
                     f"commit-records={luck.choice((4, 32, 256))}\n")
    plan.sync_us = luck.choice((0, 0, 1000, 15000))
    names = [name for name in kinds or EVENTS if name in EVENTS]
    weights = [EVENTS[name] for name in names]
    plan.length_s = 25.0 / speed
    for _ in range(luck.choice((0, 1, 1, 2, 2, 3)) if names else 0):
        kind = luck.choices(names, weights)[0]
        plan.events.append(Event(luck.uniform(0.0, plan.length_s), kind))
    draw_checkpoints(plan, random.Random(seed ^ 0xCECC), kinds)
    plan.events.sort(key=lambda event: event.at_s)
    return plan
