"""Demo records."""

from sqlalchemy import func, select

from crm_sync_service.desk.demo import demo_id, load_demo
from crm_sync_service.desk.models import Account, Change, Contact, Product, User
from shared.clock import utc_now
from tests.crm_sync_service.desk.client import Visitor, demo


def test_the_demo_has_the_people_that_the_portal_knows(api):
    sizes = {kind: len(api.rows(f"/{kind}")) for kind in ("accounts", "contacts", "products", "users")}
    assert sizes == {"accounts": 3, "contacts": 6, "products": 5, "users": 7}
    peter = api.get(f"/contacts/{demo('contact', 'peter')}").json
    assert (peter["name"], peter["account_id"]) == ("Peter de Vries", demo("account", "acme"))


def test_account_managers_and_the_administrator_log_in_and_support_staff_does_not(app):
    outcomes = {
        name: Visitor(app).log_in(name).status_code for name in ("anna", "bram", "alex", "sam", "nora", "tariq", "mila")
    }
    assert [name for name, status in outcomes.items() if status == 303] == ["anna", "bram", "alex"]


def test_loading_it_again_adds_nothing_and_leaves_what_people_have_changed(database, anna):
    anna.post(f"/accounts/{demo('account', 'acme')}/fields/name", value="Acme Group", version=1)
    before = count_rows(database)
    with database.write() as session:
        load_demo(session, utc_now())
    assert count_rows(database) == before
    with database.read() as session:
        assert session.get_one(Account, demo_id(Account, "acme")).name == "Acme Group"


def count_rows(database):
    with database.read() as session:
        return [
            session.scalar(select(func.count()).select_from(model))
            for model in (Account, Contact, Product, User, Change)
        ]
