# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""Enrolling pens whose name does not tell their serial, and pens that end pairing mode."""

import time

import wire
from pen import Habits, Pen
from plan import wait_until
from world import World, main

ADAPTERS = ((3, "0C:11:22:33:44:01"), (10, "0C:11:22:33:44:02"))
TIMEOUT = 7


def holds_bond(world, pen):
    """Some adapter keeps a bond of it."""
    return any(device.bonded() for adapter in world.bluez.adapters
               for device in adapter.devices.values() if device.pen is pen)


def nothing_fits(world, other, shut):
    """Nobody is the pen that is wanted: who was heard, and why not, is said in one line."""
    other.pairing, shut.pairing = True, False
    done = world.ctl("enroll", "QQ-7", "--timeout", "12")
    said = done.stderr.strip()
    assert done.returncode == TIMEOUT and len(said.splitlines()) == 1, done
    for word in (other.address, "XX-1", shut.address, "refuses to pair"):
        assert word in said, f"not a word of {word} in: {said}"
    assert "none was heard" not in said, said


def late(world, other):
    """The window ends while the wrong pen is being tried: no bond of it remains either."""
    other.pairing, other.habits.answer_s = True, 2.4
    done = world.ctl("enroll", "QQ-9", "--timeout", "4")
    other.habits.answer_s = 0.03
    assert done.returncode == TIMEOUT, done
    assert ("bonded", world.bluez.adapters[0].address) in other.seen, "it was not tried at all"
    time.sleep(1)
    assert not world.do(holds_bond, world, other), "the wrong pen's bond is still there"


def plain_name(world, wanted, other):
    """The others are let go again, and their bond with them; the right one is taken."""
    wanted.pairing = other.pairing = True
    done = world.ctl("enroll", wanted.serial, "--timeout", "30")
    assert done.returncode == 0, done
    wait_until(lambda: not world.do(holds_bond, world, other), 5, "the wrong pen's bond to go")
    assert [pen["serial"] for pen in world.ctl_json("pens")] == [wanted.serial]
    assert world.ctl_json("pens")[0]["name"] == "Microneedle"


def known(world, wanted, other):
    """A pen that is enrolled is heard, but never another one's candidate."""
    other.here = False
    wanted.pairing = True
    world.do(wanted.line.link.drop)
    done = world.ctl("enroll", "QQ-8", "--timeout", "3")
    assert done.returncode == TIMEOUT, done
    assert world.do(holds_bond, world, wanted), wanted.bonds


def one_bond(world, pen):
    """Its pairing mode ends with the first bond: the second adapter tries thrice, no more."""
    pen.pairing = True
    done = world.ctl("enroll", pen.serial, "--timeout", "40")
    assert done.returncode == 0, done
    n_links = sum(1 for what in pen.seen if what[0] == "linked")
    assert n_links <= 5, f"{n_links} links"
    log = world.logs["penteld"].read_text()
    assert "no bond on adapter" in log, "nothing says that there is no second bond"
    assert world.ctl_json("pens")[0]["name"] == pen.name, world.ctl_json("pens")
    wait_until(lambda: world.ctl_json("pens")[0]["state"] == "connected", 10,
               "the pen to be linked where it has a bond")


def run():
    wanted = Pen("QQ-1", "F0:00:00:00:00:01", 0x71, 1, name="Microneedle")
    other = Pen("XX-1", "F0:00:00:00:00:02", 0x72, 1, name="Microneedle")
    shut = Pen("XX-2", "F0:00:00:00:00:03", 0x73, 1, name="Needle")
    with World([other, shut, wanted]) as world:
        world.start_daemon()
        wanted.here = False
        late(world, other)
        nothing_fits(world, other, shut)
        wanted.here, shut.here = True, False
        plain_name(world, wanted, other)
        known(world, wanted, other)
        assert not other.refused + wanted.refused, other.refused + wanted.refused
    lone = Pen("ZZ-1", "F0:00:00:00:00:04", 0x74, 1, Habits(one_bond=True))
    with World([lone], ADAPTERS) as world:
        world.start_daemon()
        one_bond(world, lone)
        assert ("read", wire.FEATURE) in lone.seen
        assert world.stop("penteld") == 0, "penteld's end"
        wait_until(lambda: lone.line is None, 2, "the link to be let go at penteld's end")


if __name__ == "__main__":
    main(run, 110)
