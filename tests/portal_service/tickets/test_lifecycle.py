import pytest

from portal_service.tickets import lifecycle
from portal_service.tickets.errors import Refused

EXPECTED = [
    # action, then what it makes of new, open, pending, solved and closed; None: not allowed.
    ("review", "open", None, None, None, None),
    ("customer_reply", "new", "open", "open", "open", "open"),
    ("staff_reply", "open", "open", "pending", "solved", "closed"),
    ("ask", "pending", "pending", "pending", "pending", "pending"),
    ("internal_note", "open", "open", "pending", "solved", "closed"),
    ("transfer", "open", "open", "pending", "solved", "closed"),
    ("close", "closed", "closed", "closed", "closed", None),
    ("reopen", None, None, "open", "open", "open"),
    ("set_solved", "solved", "solved", "solved", None, "solved"),
    ("set_new", None, None, None, None, None),
    ("paint_it_black", None, None, None, None, None),
]


@pytest.mark.parametrize(("action", "targets"), [(row[0], row[1:]) for row in EXPECTED])
def test_each_action_leads_where_the_table_says(action: str, targets: tuple[str | None, ...]) -> None:
    for status, target in zip(lifecycle.STATUSES, targets, strict=True):
        if target is None:
            assert not lifecycle.is_allowed(action, status)
            with pytest.raises(Refused):
                lifecycle.status_after(action, status)
        else:
            assert lifecycle.status_after(action, status) == target


def test_every_target_is_a_status() -> None:
    for moves in lifecycle.ACTIONS.values():
        assert set(moves) | set(moves.values()) <= set(lifecycle.STATUSES)


def test_an_agent_may_choose_any_status_but_new() -> None:
    assert lifecycle.targets("open") == ("open", "pending", "solved", "closed")
    assert lifecycle.targets("new") == ("new", "open", "pending", "solved", "closed")
