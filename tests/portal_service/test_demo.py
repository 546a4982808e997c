from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from portal_service.assignment.engine import has_permission
from portal_service.demo import PASSWORD, load_demo
from portal_service.knowledge.models import Article
from portal_service.knowledge.queries import KINDS
from portal_service.models import Base
from portal_service.people.auth import verify_login
from portal_service.people.models import Account, Contact, Staff
from portal_service.people.policy import whole_accounts
from portal_service.tickets.models import Product, RequestType, Ticket
from shared.database import Database
from shared.ids import derived_id
from tests.portal_service.support_desk import START

USERS = ("carol", "peter", "dave", "li", "erin", "sofia", "sam", "nora", "tariq", "mila", "alex")


def rows(session: Any) -> dict[str, int]:
    return {
        table.name: session.scalar(select(func.count()).select_from(table)) for table in Base.metadata.sorted_tables
    }


def test_the_demo_has_everything_that_was_promised(portal_database: Database, portal_site: None) -> None:
    with portal_database.write() as session:
        load_demo(session, START)
        counts = rows(session)
        assert (counts["accounts"], counts["contacts"], counts["products"], counts["request_types"]) == (3, 6, 5, 5)
        assert session.scalar(select(func.count()).where(Staff.is_admin.is_(False))) == 4
        articles = session.scalars(select(Article)).all()
        assert Counter(article.language for article in articles) == {"en": 12, "nl": 12}
        assert len({article.slug for article in articles}) == 12
        assert {article.kind for article in articles} == set(KINDS)
        assert all(len(article.body) > 200 and article.summary and "# " not in article.title for article in articles)
        for name in USERS:
            assert verify_login(session, name, PASSWORD, address="192.0.2.1", now=START).username == name


def test_the_demo_knows_the_records_of_the_crms_demo(portal_database: Database, portal_site: None) -> None:
    with portal_database.write() as session:
        load_demo(session, START)
        for model, kind, key, name in (
            (Account, "account", "globex", "Globex GmbH & Söhne"),
            (Contact, "contact", "li", "Li Wei 李伟"),
            (Product, "product", "sensor", "Sensor Gateway"),
            (Staff, "user", "tariq", "Tariq Aziz"),
        ):
            record = session.scalars(select(model).where(model.crm_id == str(derived_id(f"demo-{kind}", key)))).one()
            assert record.name == name
        peter = session.scalars(select(Contact).where(Contact.name == "Peter de Vries")).one()
        assert whole_accounts(peter) == {peter.account_id}


def test_agents_take_what_they_are_there_for(portal_database: Database, portal_site: None) -> None:
    with portal_database.write() as session:
        load_demo(session, START)
        sync = session.scalars(select(Product.id).where(Product.name == "Sync Engine")).one()
        mobile = session.scalars(select(Product.id).where(Product.name == "Mobile App")).one()

        def takers(key: str, product: Any) -> set[str]:
            type_id = session.scalars(select(RequestType.id).where(RequestType.key == key)).one()
            staff = session.scalars(select(Staff)).all()
            return {
                one.name.split()[0] for one in staff if has_permission(one, request_type_id=type_id, product_id=product)
            }

        assert takers("level-1", mobile) == {"Sam", "Nora"}
        assert takers("level-2", sync) == {"Nora", "Tariq"}
        assert takers("level-2", mobile) == {"Nora"}
        assert takers("custom-programming", sync) == {"Tariq"}
        assert takers("billing", None) == {"Sam", "Mila"}
        assert takers("sales", None) == {"Mila"}


def test_loading_again_adds_nothing_and_keeps_what_people_changed(portal_database: Database, portal_site: None) -> None:
    with portal_database.write() as session:
        load_demo(session, START)
        before = rows(session)
        session.scalars(select(Staff).where(Staff.name == "Sam Peters")).one().available = False
    with portal_database.write() as session:
        load_demo(session, START + timedelta(days=3))
        assert rows(session) == before
        assert not session.scalars(select(Staff).where(Staff.name == "Sam Peters")).one().available


def test_the_demo_tickets_are_tickets_like_any_other(portal_database: Database, portal_site: None) -> None:
    with portal_database.write() as session:
        load_demo(session, START)
        tickets = session.scalars(select(Ticket).order_by(Ticket.number)).all()
        assert [ticket.number for ticket in tickets] == [1001, 1002, 1003, 1004]
        assert [ticket.status for ticket in tickets] == ["open", "pending", "closed", "new"]
        assert all(ticket.assignee and ticket.assignment for ticket in tickets)
