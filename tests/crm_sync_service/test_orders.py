"""Orders of people are lost by nobody: not by a lane that runs meanwhile, and not by another person."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from crm_sync_service import decisions
from crm_sync_service.links import LinkState, Order
from crm_sync_service.order_book import add_order
from crm_sync_service.orders import carry_out, open_orders
from shared.ids import new_id
from tests.crm_sync_service.engine import new_ticket

FIELDS = ("priority", "status", "subject")
AT = "2026-11-22T12:00:00.000000Z"


def test_orders_given_while_the_lane_works_are_all_carried_out(engine, crm):
    ticket = new_ticket()
    engine.receive(ticket)
    engine.settle()

    def ask(number):
        with engine.database.write() as session:
            add_order(
                session, ticket.ticket_id, do="set", field="subject", value=f"S{number}", by="Ada", now=engine.clock
            )

    def work(_):
        engine.runner.run_until_idle()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda task: task[0](task[1]), [step for n in range(15) for step in ((ask, n), (work, n))]))
    engine.settle()
    link = engine.link(ticket)
    assert (link.order_number, link.orders_done, link.orders) == (15, 15, [])
    assert engine.case(ticket)["subject"] in {f"S{number}" for number in range(15)}
    assert engine.lane(ticket.ticket_id).state == "idle"


def test_an_order_for_a_ticket_that_has_no_case_yet_is_not_lost(engine, crm):
    ticket = new_ticket()
    engine.receive(ticket)
    with engine.database.write() as session:
        decisions.set_value(session, ticket.ticket_id, "priority", "high", by="Ada", why="urgent", now=engine.clock)
    engine.settle()
    assert engine.case(ticket)["priority"] == "high"


ORDERS = st.builds(
    Order,
    number=st.just(0),
    do=st.sampled_from(["set", "skip", "unskip", "release", "recreate", "unlink"]),
    by=st.just("Ada"),
    at=st.just(AT),
    field=st.sampled_from(FIELDS),
    value=st.sampled_from(["a", "b"]),
)


@given(st.lists(ORDERS, max_size=12))
def test_the_last_word_about_a_field_counts(orders):
    link = LinkState(ticket_id=new_id(), state="linked", case_id="c", base={"priority": "x"})
    for number, order in enumerate(orders, 1):
        link = carry_out(link, Order(**{**vars(order), "number": number}))
    assert link.orders_done == len(orders)
    assert open_orders(link) == []
    for name in FIELDS:
        about = [order.do for order in orders if order.field == name and order.do in {"set", "skip", "unskip"}]
        is_skipped = name in link.holds and link.holds[name].kind == "skipped"
        if about and about[-1] == "skip":
            assert is_skipped
            assert name not in link.wanted
        if about and about[-1] == "unskip":
            assert not is_skipped
