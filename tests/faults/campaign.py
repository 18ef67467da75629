# SPDX-FileCopyrightText: The Pentel authors
# SPDX-License-Identifier: MIT
"""One run: pens treat, what the plan says goes wrong, and the store is judged."""

import errno
import random
import signal
import time
from collections import Counter

from judge import Claims, check_all, check_claims
from plan import ERRORS, INDEX
from world import NO_END, Absent, Failure, World

SETTLE_S = 150  # a bluetoothd that is stuck is cured once in two minutes
TREAT_S = 90
LOOK_S = 0.08


class Run:
    def __init__(self, plan):
        self.plan = plan
        self.luck = random.Random(plan.seed ^ 0xFA017)
        self.faults = Counter(plan.radio)
        self.claims = Claims()
        self.n_compared = 0
        self.n_lied = 0         # once a sync lied, what was promised may be gone
        self.stopped_until = 0  # penteld is stopped until then
        self.armed = None       # a stop that the shim will make: what follows, until when
        self.down_since = 0
        self.excused_until = 0  # it may end with a failure
        self.world = None

    def run(self):
        plan = self.plan
        with World(self.luck, plan.settings, plan.sim) as self.world:
            try:
                self._run()
            except Failure as failure:
                raise Failure(f"{failure}\n{self.world.tail()}") from None
        return self.faults, self.n_compared

    def _run(self):
        there = self.world
        there.control["sync_us"] = self.plan.sync_us
        there.start_daemon()
        there.wait_up()
        began = time.monotonic()
        for serial in self.plan.serials:
            self.enroll(serial)
        for event in self.plan.events:
            self.live_until(began + event.at_s)
            self.happen(event.kind)
        end = time.monotonic() + TREAT_S
        while not self.is_over():
            if time.monotonic() > end:
                raise Failure(f"the pens did not end treating in {TREAT_S} s")
            self.live_until(time.monotonic() + LOOK_S)
        self.calm()
        self.settle()
        self.last_cut()

    def enroll(self, serial):
        """The air may be bad: three times."""
        for last in (False, False, True):
            try:
                self.world.enroll(serial)
                return
            except Absent as error:
                if last:
                    raise Failure(f"{serial} cannot be enrolled: {error}") from None

    def is_over(self):
        return self.armed is None and not self.stopped_until and self.world.truth()["done"]

    def live_until(self, end):
        """Let time pass; be systemd to penteld, and remember what it promises."""
        while True:
            self.look_after()
            if self.armed is None and not self.stopped_until and self.world.is_up():
                self.look()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, LOOK_S))

    def look(self):
        there = self.world
        try:
            self.claims.take_shown(there.list_sessions())
            self.claims.head = max(self.claims.head, there.get_property("Head"))
            self.claims.store_id = there.get_property("StoreId")
        except Absent:
            pass

    def look_after(self):
        """Continue what was stopped, start what has ended."""
        there = self.world
        now = time.monotonic()
        if self.armed is not None:
            self.look_at_armed(now)
        if self.stopped_until and now >= self.stopped_until:
            self.stopped_until = 0
            there.daemon.send_signal(signal.SIGCONT)
        if not there.is_up():
            self.start_again(now)
        elif self.down_since and self.owns_name():
            self.down_since = 0

    def owns_name(self):
        try:
            return self.world.on.owns("org.pentel")
        except Absent:
            return False

    def start_again(self, now):
        """As systemd does. It may refuse to start while the disk fails or the bus is away,
        and at no other time; it never ends by a signal that nobody sent."""
        there = self.world
        control = there.control
        status = there.daemon.returncode
        if control["error_to"] > control["ops"]:
            self.excused_until = now + 1.0
        # What a sync lied about may be part of the index: it ends to begin a fresh one.
        excused = self.n_lied or now <= self.excused_until
        if status not in (0, 1, -signal.SIGKILL) or status == 1 and not excused:
            raise Failure(f"penteld ended with {status}")
        self.down_since = self.down_since or now
        if now - self.down_since > 15:
            raise Failure("penteld does not start")
        there.start_daemon()

    def wait_up(self):
        end = time.monotonic() + 20
        while True:
            self.look_after()
            if not self.down_since and not self.armed and not self.stopped_until and \
                    self.owns_name():
                return
            if time.monotonic() > end:
                raise Failure("penteld did not come up in 20 s")
            time.sleep(0.01)

    def arm(self, kind, then, n_ops=25):
        """The shim stops penteld at one of its next operations, or at its next mark."""
        control = self.world.control
        control["stop_with"] = signal.SIGSTOP if then == "stop" else signal.SIGKILL
        if kind == "mark":
            control["mark_stop_after"] = self.luck.randint(0, 1)
            control["mark_stop_at"] = control["marks"] + 1
        else:
            control["stop_after"] = self.luck.randint(0, 1)
            control["stop_at"] = control["ops"] + self.luck.randint(1, n_ops)
        self.armed = (then, control["n_stopped"], time.monotonic() + 4.0)

    def look_at_armed(self, now):
        then, n_before, until = self.armed
        control = self.world.control
        if control["n_stopped"] == n_before:
            if now > until:  # nothing was written any more: as good a moment as any
                self.armed = None
                control["stop_at"] = control["mark_stop_at"] = 0
                self.world.daemon.send_signal(control["stop_with"])
                self.struck(then)
            return
        self.armed = None
        control["stop_at"] = control["mark_stop_at"] = 0
        self.struck(then)

    def struck(self, then):
        if then == "stop":
            self.stopped_until = time.monotonic() + self.luck.uniform(0.1, 1.5)
            return
        self.world.daemon.wait()
        if then == "cut":
            self.cut()
        else:
            time.sleep(self.luck.uniform(0.0, 0.3))

    def disarm(self):
        """What waits to happen does not get into the way of another event."""
        control = self.world.control
        control["stop_at"] = control["mark_stop_at"] = 0
        self.armed = None
        if self.stopped_until:
            self.stopped_until = 0
            self.world.daemon.send_signal(signal.SIGCONT)

    def happen(self, kind):
        while self.armed is not None:
            self.live_until(time.monotonic() + LOOK_S)
        self.disarm()
        self.live_until(time.monotonic())
        self.faults[kind] += 1
        there = self.world
        what, _, where = kind.partition("-in-")
        if where:
            self.arm(where, what)
        elif kind == "kill":
            there.kill_daemon()
        elif kind == "stop":
            there.daemon.send_signal(signal.SIGSTOP)
            self.struck("stop")
        elif kind == "cut":
            there.kill_daemon()
            self.cut()
        elif kind == "lie-cut":
            self.lie()
        elif kind in ERRORS:
            self.fail_for_a_while(ERRORS[kind])
        elif kind == INDEX:
            self.fail_for_a_while(errno.EIO, index=True)
        elif kind == "seal-cut":
            there.control["wall_us"] += 2 * 86400 * 1000000  # what ended a day ago is sealed
            there.kill_daemon()
            self.arm("write", "cut", self.luck.choice((15, 40, 80)))
            there.start_daemon()
        elif kind == "wall-jump":
            there.control["wall_us"] += int(self.luck.choice(
                (1, -1, 3600, -86400, 400 * 86400, -3650 * 86400, 3650 * 86400)) * 1e6)
        elif kind == "bus-restart":
            self.wait_up()
            there.bus.start()
            there.daemon.wait(15)
            self.excused_until = time.monotonic() + 5.0
            there.wait(lambda: there.bus.owns("org.bluez"), 10, "pensim on the new bus")
        elif kind == "bluez-restart":
            there.signal_sim(signal.SIGUSR1)
        elif kind == "clean-restart":
            self.wait_up()
            there.stop_daemon()

    def fail_for_a_while(self, error, index=False):
        control = self.world.control
        control["error_kind"] = error
        control["error_index"] = index
        control["error_permille"] = self.luck.choice(
            (50, 300) if error == errno.EINTR else (50, 300, 1000))
        control["error_from"] = control["ops"] + 1
        control["error_to"] = NO_END
        self.live_until(time.monotonic() + self.luck.uniform(0.05, 0.8))
        control["error_to"] = control["ops"]

    def lie(self):
        """From an honest moment on syncs do nothing; then the power goes."""
        self.world.control["lies"] = 1
        self.live_until(time.monotonic() + self.luck.uniform(0.1, 1.5))
        self.world.kill_daemon()
        self.world.signal_sim(signal.SIGUSR1)  # no link outlives the cut: pens may be enrolled anew
        self.world.control["lies"] = 0
        self.n_lied += 1
        self.claims = Claims()
        self.cut(honest=False)
        self.wait_up()
        known = {pen["Serial"] for pen in self.world.list_pens()}
        for serial in self.plan.serials:
            if serial not in known:
                self.enroll(serial)

    def cut(self, honest=True):
        """The disk keeps what was synced and some of the rest; then, with no pen in reach,
        everything that was promised must be there."""
        there = self.world
        kept = there.disk.cut(self.luck)
        self.faults[f"kept-{kept}"] += 1
        if honest and not self.n_lied:
            self.check_promises()

    def check_promises(self):
        there = self.world
        time.sleep(0.25)  # until the truth file has every mark
        self.claims.take_marks(there.truth())
        if there.quiet.process is None:
            there.quiet.start()
        there.start_daemon(there.quiet)
        there.wait_up()
        judge = check_claims(there, self.claims)
        self.n_compared += judge.n_compared
        if judge.lines:
            raise Failure("\n".join(judge.lines))
        if self.luck.random() < 0.5:
            there.stop_daemon()
        else:
            there.kill_daemon()

    def calm(self):
        self.wait_up()
        if not self.world.has_shim():
            raise Failure("a penteld ran without the shim")
        control = self.world.control
        self.faults["errors"] += control["n_errors"]
        self.faults["lies"] += control["n_lies"]
        self.faults["marks"] += control["marks"]
        n_moved = len(list(self.world.state.glob("damaged-*")))
        self.faults["moved"] += n_moved
        if n_moved > self.n_lied:
            raise Failure(f"{n_moved} stores were moved aside, and {self.n_lied} times syncs lied")
        self.faults["segments"] += len(list(self.world.state.glob("store/raw/*.seg")))

    def settle(self):
        end = time.monotonic() + SETTLE_S
        while True:
            self.look_after()
            try:
                judge = check_all(self.world, self.claims, self.n_lied, only_list=True)
                if not judge.lines:
                    judge = check_all(self.world, self.claims, self.n_lied)
            except Absent as error:
                judge = None
                if time.monotonic() > end:
                    raise Failure(f"penteld does not answer: {error}") from None
            if judge is not None and not judge.lines:
                break
            if judge is not None and time.monotonic() > end:
                raise Failure("\n".join(judge.lines[:20]))
            time.sleep(0.15)
        self.n_compared += judge.n_compared

    def last_cut(self):
        """What is shown at the end is durable, too."""
        self.look()
        self.world.kill_daemon()
        self.cut()
