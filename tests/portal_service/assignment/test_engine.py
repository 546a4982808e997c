import random
import uuid
from collections import Counter

import pytest

from portal_service.assignment.engine import choose, has_permission
from portal_service.people.models import Staff, StaffPermission
from portal_service.tickets.actions import close, delete, set_status
from tests.portal_service.support_desk import Help


def agents(*open_counts: int) -> tuple[list[Staff], dict[uuid.UUID, int]]:
    staff = [Staff(id=uuid.uuid4(), name=f"agent {number}") for number in range(len(open_counts))]
    return staff, {one.id: count for one, count in zip(staff, open_counts, strict=True)}


def test_the_one_with_the_fewest_open_tickets_gets_it() -> None:
    staff, counts = agents(4, 1, 2)
    for seed in range(50):
        assert choose(staff, counts, favourite_id=None, rng=random.Random(seed)).staff is staff[1]


def test_ties_spread_evenly_over_a_thousand_runs() -> None:
    staff, counts = agents(2, 1, 1, 1, 1)
    rng = random.Random(7)
    chosen = Counter(choose(staff, counts, favourite_id=None, rng=rng).staff for _ in range(1_000))
    assert chosen[staff[0]] == 0
    assert all(200 < chosen[one] < 300 for one in staff[1:])


def test_the_favourite_wins_only_if_eligible() -> None:
    staff, counts = agents(9, 0)
    rng = random.Random(1)
    assert choose(staff, counts, favourite_id=staff[0].id, rng=rng).staff is staff[0]
    assert choose(staff, counts, favourite_id=uuid.uuid4(), rng=rng).staff is staff[1]
    assert choose([], {}, favourite_id=staff[0].id, rng=rng).staff is None


TYPE, OTHER_TYPE, PRODUCT, OTHER_PRODUCT = (uuid.uuid4() for _ in range(4))


@pytest.mark.parametrize(
    ("permissions", "product", "permitted"),
    [
        ([], PRODUCT, False),
        ([(None, None)], None, True),
        ([(TYPE, None)], PRODUCT, True),
        ([(OTHER_TYPE, None)], PRODUCT, False),
        ([(TYPE, PRODUCT)], PRODUCT, True),
        ([(TYPE, OTHER_PRODUCT)], PRODUCT, False),
        ([(TYPE, PRODUCT)], None, False),
        ([(OTHER_TYPE, PRODUCT), (TYPE, OTHER_PRODUCT)], PRODUCT, False),
        ([(OTHER_TYPE, None), (None, PRODUCT)], PRODUCT, True),
    ],
)
def test_permission_needs_type_and_product_in_one(
    permissions: list[tuple[uuid.UUID | None, uuid.UUID | None]], product: uuid.UUID | None, permitted: bool
) -> None:
    staff = Staff(permissions=[StaffPermission(request_type_id=type_, product_id=of) for type_, of in permissions])
    assert has_permission(staff, request_type_id=TYPE, product_id=product) == permitted


def test_finished_and_deleted_tickets_do_not_count(desk: Help) -> None:
    with desk.write() as session:
        by = desk.actor(session, "admin")
        desk.staff(session, "Nora").available = False
        for finish in (close, delete):
            finish(session, desk.submit(session), actor=by, now=desk.clock.now)
        set_status(session, desk.submit(session), "solved", actor=by, now=desk.clock.now)
        desk.staff(session, "Nora").available = True
        waiting = desk.submit(session)
        assert {one["name"]: one["open"] for one in waiting.assignment["candidates"]} == {"Sam": 0, "Nora": 0}
        set_status(session, waiting, "pending", actor=by, now=desk.clock.now)
        assert waiting.assignee is not None
        after = desk.submit(session)
        assert after.assignee is not None
        assert after.assignee is not waiting.assignee


def test_the_ticket_explains_its_assignment(desk: Help) -> None:
    with desk.write() as session:
        why = desk.submit(session, request_type_id=desk.type(session, "billing").id).assignment
        assert (why["rule"], why["chosen"], why["tied"]) == ("fewest_open", "Sam", 1)
        left_out = {(one["name"], one["reason"]) for one in why["left_out"]}
        assert left_out == {("Nora", "no_permission"), ("Mila", "away"), ("Admin", "no_permission")}


def test_an_absent_favourite_is_replaced_and_the_requester_told(desk: Help) -> None:
    with desk.write() as session:
        mila, nora = desk.staff(session, "Mila").id, desk.staff(session, "Nora").id
        ticket = desk.submit(session, favourite_staff_id=mila)
        assert ticket.assignment["favourite"] == {"name": "Mila", "outcome": "away"}
        assert ticket.assignee is not None
        assert "You asked for Mila" in desk.mail_texts(session, "carol@acme.example")[0]
        chosen = desk.submit(session, favourite_staff_id=nora)
        assert chosen.assignee_id == nora
        assert chosen.assignment["favourite"]["outcome"] == "chosen"


def test_with_nobody_eligible_the_ticket_waits_unassigned(desk: Help) -> None:
    with desk.write() as session:
        for name in ("Sam", "Nora"):
            desk.staff(session, name).available = False
        ticket = desk.submit(session)
        assert ticket.assignee is None
        assert ticket.assignment["rule"] == "nobody"
        assert [recipient for recipient, _ in desk.mails(session)] == ["carol@acme.example"]
