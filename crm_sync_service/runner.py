"""Works due lanes: many tickets at once, one ticket never twice."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import structlog
from sqlalchemy.orm import Session

from crm_sync_service import call_metrics, gate, lanes
from crm_sync_service.budget import urgency
from crm_sync_service.connectors.base import Connector, CrmError
from crm_sync_service.fibres import Fibres, GivingWay
from crm_sync_service.lanes import Claim, LaneLostError
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import Activity
from crm_sync_service.reconcile import Reconciler
from crm_sync_service.retries import MAX_ATTEMPTS, Verdict, classify, pause_after
from crm_sync_service.steps import Step, group_commit
from crm_sync_service.store import LaneStore
from crm_sync_service.stored import Work, load_each, tell
from shared import metrics
from shared.database import Database
from shared.failpoints import failpoint

_IDLE_WAIT = 0.2
_RENEW_EVERY = 3.0
_LANES_PER_CALL = 8
"""So many lanes may be at work for each call to the CRM that may be: most of them wait for a commit, or to call."""
_ROUNDS = 3
"""So many calls may be asked for in place of each that is under way, where the CRM is quick."""
_SOON = 0.3
"""Seconds of a quick call: a stop, or a pause that the CRM asks for, is late by the few that wait."""
_CLAIMS_PER_CALL = 4
"""So many are claimed in one transaction."""
_FRESH = timedelta(seconds=1)
"""What was read with a claim is read again by a lane that waited longer for a thread: it may go in one with more."""

log = structlog.get_logger()
_jitter = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    work: Work
    at: datetime
    """Before it was read."""


class Doorbell:
    """Rung by whoever marked lanes due in this process."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake, self._rung = wake, False

    def set(self) -> None:
        self._rung = True
        self._wake()

    def answer(self) -> bool:
        """Whether it was rung since the last answer."""
        if not self._rung:
            return False
        self._rung = False
        return True


@dataclass(kw_only=True)
class LaneRunner:
    """The lanes of one worker process."""

    database: Database
    crm: Connector
    mapping: CaseMapping
    owner: str
    threads: int
    now: Callable[[], datetime]
    scarce: bool = False
    """Calls to the CRM are limited: what matters most goes first."""
    _held: dict[Claim, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _unstarted: deque[Claim] = field(default_factory=deque)
    _loaded: dict[Claim, "_Loaded"] = field(default_factory=dict)
    _failing: bool = False
    _look_at: float = 0.0
    """When to look for due lanes again though nobody rang, on the monotonic clock."""

    def __post_init__(self) -> None:
        self._fibres: Fibres[Step] = Fibres(group_commit(self.database, self._now))
        self.doorbell = Doorbell(self._fibres.ring)

    def _now(self) -> datetime:
        return self.now()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; then what runs is finished."""
        with self._fibres.open(self.threads):
            try:
                while not stop.is_set():
                    self._start_due()
                    self._fibres.turn(_IDLE_WAIT)
            finally:
                self._give_back_unstarted()

    def _start_due(self) -> None:
        """Start lanes while the CRM can be called for them soon; claim more when none is left that waits."""
        asked, running = self._most()
        while self._fibres.asked < asked and self._fibres.running < running:
            if not self._unstarted and not self._look():
                return
            self._fibres.start(partial(self._work_and_forget, self._unstarted.popleft()))

    def _most(self) -> tuple[int, int]:
        """How many calls may be asked for, and how many lanes be at work, before another one begins.

        No more than can be called for at once, unless the CRM answers so quickly that a call has its turn soon.
        """
        if self._fibres.usual > _SOON:
            return self.threads, self.threads
        return _ROUNDS * self.threads, _LANES_PER_CALL * self.threads

    def _look(self) -> int:
        """Claim lanes if some may be due; returns how many."""
        now = time.monotonic()
        if not self.doorbell.answer() and now < self._look_at:
            return 0
        self._look_at = now + _IDLE_WAIT
        if not self._crm_answers():
            return 0
        limit = _CLAIMS_PER_CALL * self.threads
        claims = self._claim(limit)
        self._unstarted.extend(claims)
        if len(claims) == limit:
            self._look_at = now
        return len(claims)

    def _give_back_unstarted(self) -> None:
        """What waits for its turn need not wait for the end of its lease."""
        waiting = list(self._unstarted)
        self._unstarted.clear()
        if waiting:
            self._give_back(waiting)
            with self._lock:
                for held in waiting:
                    self._held.pop(held, None)
                    self._loaded.pop(held, None)

    def _give_back(self, claims: Sequence[Claim]) -> None:
        with self.database.write() as session:
            for held in sorted(claims, key=lambda held: str(held.ticket_id)):
                lanes.give_back(session, held, now=self.now())

    def _still_reachable(self) -> bool:
        """Whether the CRM was not paused since this lane was claimed."""
        with self.database.read() as session:
            return gate.may_call(session, self.crm.name)

    def renew_leases(self, stop: threading.Event) -> None:
        """Until `stop`, keep the leases of what runs."""
        while not stop.wait(_RENEW_EVERY):
            with self._lock:
                held = list(self._held)
            if held:
                with self.database.write() as session:
                    lanes.renew(session, held, now=self.now())

    def run_until_idle(self) -> int:
        """Work off what is due now, in this thread, while the CRM answers; returns how many runs that took."""
        runs = 0
        while self._crm_answers() and (claims := self._claim(1)):
            for held in claims:
                self._work_and_forget(held)
                runs += 1
        return runs

    def _claim(self, limit: int) -> list[Claim]:
        now = self.now()
        with self.database.read() as session:
            if not lanes.any_due(session, now=now):
                return []
        with self.database.write() as session:
            claims = lanes.claim(session, owner=self.owner, now=now, limit=limit, scarce=self.scarce)
        with self._lock:
            self._held.update(dict.fromkeys(claims))
        self._load(claims)
        return claims

    def _load(self, claims: Sequence[Claim]) -> None:
        """Read what these lanes need, in few queries."""
        at = self.now()
        try:
            with self.database.read() as session:
                work = load_each(session, [held.ticket_id for held in claims])
        except Exception as error:  # noqa: BLE001 (each lane reads its own then, and meets its own error)
            log.warning("lanes_not_read_together", error=repr(error))
        else:
            self._loaded.update({held: _Loaded(work=work[held.ticket_id], at=at) for held in claims})

    def _crm_answers(self) -> bool:
        """Whether the CRM may be called; probes it when a pause ends."""
        with self.database.read() as session:
            if gate.may_call(session, self.crm.name):
                return True
            # What is still at work would have to wait for the probe's answer.
            if self._fibres.running or not gate.probe_is_due(session, self.crm.name, now=self.now()):
                return False
        return self._probe()

    def _probe(self) -> bool:
        try:
            self.crm.info()
        except CrmError as error:
            with self.database.write() as session:
                gate.note_failure(session, self.crm.name, error, now=self.now())
            return False
        with self.database.write() as session:
            gate.note_success(session, self.crm.name, now=self.now())
        return True

    def _work_and_forget(self, held: Claim) -> None:
        try:
            if self._failing and not self._still_reachable():
                self._give_back([held])
            else:
                self._work(held)
        except LaneLostError:
            log.warning("lane_lost", ticket_id=str(held.ticket_id))
        except Exception:
            # The database failed while the result was stored: the lease ends and the lane is taken again.
            log.exception("lane_result_not_stored", ticket_id=str(held.ticket_id))
        finally:
            with self._lock:
                self._held.pop(held, None)
                is_last = not self._held
            self._loaded.pop(held, None)
            if is_last:
                # What came in for it meanwhile need not wait for the next look.
                self.doorbell.set()

    def _work(self, held: Claim) -> None:
        """One run of one lane, with every way it may end."""
        urgency.set(held.priority)
        try:
            self._reconcile(held)
        except LaneLostError:
            raise
        except Exception as error:
            if not isinstance(error, CrmError):
                log.exception("reconcile_failed", ticket_id=str(held.ticket_id))
            self._failed(held, error)
        else:
            self._crm_answered()

    def _failed(self, held: Claim, error: Exception) -> None:
        words = str(error) if isinstance(error, CrmError) else f"{type(error).__name__}: {error}"
        verdict = classify(error, attempts=held.attempts, now=self.now())
        match verdict.action:
            case "all_wait":
                assert isinstance(error, CrmError)
                self._crm_failed(held, error)
            case "wait":
                self._hold(held, verdict, words)
            case "final":
                self._park(held, f"the CRM refuses: {words}")
            case "person":
                self._park(held, words)
            case "again":
                self._fail(held, words, retry_at=self.now())
            case "later":
                self._fail_or_park(held, words)

    def _reconcile(self, held: Claim) -> None:
        work = self._work_of(held)
        if work.ticket is None:
            with self.database.write() as session:
                lanes.finish(session, held, now=self.now(), again_at=None)
            return
        crm: Any = GivingWay(self.crm, self._fibres.call)
        store = LaneStore(
            steps=self._fibres, database=self.database, crm=crm, held=held, ticket=work.ticket, now=self.now
        )
        reconciler = Reconciler(crm=crm, mapping=self.mapping, store=store)
        started = time.monotonic()
        outcome = reconciler.run(work.ticket, work.link, work.replies)
        call_metrics.reconcile_seconds.labels(call_metrics.result_of(store.done)).observe(time.monotonic() - started)
        failpoint("runner.before_finish")
        store.finish(outcome, receipt=work.receipts + 1)
        if outcome.state == "in_sync" and work.compared_version < work.ticket.version:
            metrics.event_lag.observe(max((self.now() - work.ticket.changed_at).total_seconds(), 0.0))

    def _work_of(self, held: Claim) -> Work:
        """As it was read with the claim, if that is not long ago."""
        loaded = self._loaded.pop(held, None)
        if loaded is not None and self.now() - loaded.at < _FRESH:
            return loaded.work
        with self.database.read() as session:
            return load_each(session, [held.ticket_id])[held.ticket_id]

    def _crm_answered(self) -> None:
        if self._failing:
            self._failing = False
            with self.database.write() as session:
                gate.note_success(session, self.crm.name, now=self.now())

    def _crm_failed(self, held: Claim, error: CrmError) -> None:
        """A failure that may concern the whole CRM: while it is paused, no ticket is to blame."""
        self._failing = True
        with self.database.write() as session:
            gate.note_failure(session, self.crm.name, error, now=self.now())
            open_ = gate.may_call(session, self.crm.name)
        if open_:
            self._fail_or_park(held, str(error))
            return
        with self.database.write() as session:
            lanes.give_back(session, held, now=self.now())
            self._tell(session, held, "waiting", str(error))

    def _hold(self, held: Claim, verdict: Verdict, words: str) -> None:
        """Nothing is wrong with the ticket: it rests until a moment that is known."""
        with self.database.write() as session:
            lanes.give_back(session, held, now=verdict.at or self.now(), cause=words)
            self._tell(session, held, "waiting", words)

    def _fail_or_park(self, held: Claim, cause: str) -> None:
        if held.attempts + 1 >= MAX_ATTEMPTS:
            self._park(held, cause)
            return
        self._fail(held, cause, retry_at=self.now() + pause_after(held.attempts, chance=_jitter.random()))

    def _fail(self, held: Claim, cause: str, *, retry_at: datetime) -> None:
        with self.database.write() as session:
            lanes.fail(session, held, cause=cause, retry_at=retry_at, now=self.now())
            self._note_failure(session, held, "failed", cause)

    def _park(self, held: Claim, cause: str) -> None:
        with self.database.write() as session:
            lanes.park(session, held, cause=cause, now=self.now())
            self._note_failure(session, held, "parked", cause)

    def _note_failure(self, session: Session, held: Claim, action: str, cause: str) -> None:
        session.add(
            Activity(
                ticket_id=held.ticket_id,
                at=self.now(),
                direction="to_crm",
                action=action,
                detail=cause,
                attempt=held.attempts + 1,
            )
        )
        self._tell(session, held, "failed" if action == "parked" else "waiting", cause)

    def _tell(self, session: Session, held: Claim, state: Literal["waiting", "failed"], reason: str) -> None:
        """Tell the portal that this ticket waits or failed, once per reason."""
        work = load_each(session, [held.ticket_id])[held.ticket_id]
        tell(session, work, state=state, reason=reason, now=self.now())
