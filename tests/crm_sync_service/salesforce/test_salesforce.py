"""The Salesforce connector against answers in the shapes of Salesforce's public documentation; no live one was seen."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from crm_sync_service.connection import open_connector
from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NewCase,
    NewContact,
    NewNote,
    NotFoundError,
    RateLimitedError,
    UnauthorisedError,
    UnreachableError,
)
from crm_sync_service.connectors.config import ConfigError, ConnectorConfig

TOKEN = {
    "access_token": "00DB0000000TfcR!AQQAQFhoK8vTMg_rKA.esrJ2bCs.OOIjJgl.9Cx6O7KqjZmHMLOyVb.U61BU9tm4xRusf7d3fD1P",
    "instance_url": "https://example.my.salesforce.com",
    "id": "https://login.salesforce.com/id/00DB0000000TfcRMAS/005B0000005Bk90IAC",
    "token_type": "Bearer",
}
ME, CASE = "005B0000005Bk90IAC", "500B0000004ZJTCIA4"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def row(**changes):
    return {
        "attributes": {"type": "Case", "url": f"/services/data/v62.0/sobjects/Case/{CASE}"},
        "Id": CASE,
        "SystemModstamp": "2026-11-22T14:03:09.000+0000",
        "CaseNumber": "00001026",
        "Subject": "Printer",
        "Description": "It burns\r\nnow",
        "Status": "New",
        "Priority": "Medium",
        "AccountId": None,
        "ContactId": None,
        "OwnerId": ME,
        "LastModifiedBy": {"attributes": {"type": "User"}, "Name": "Anna Bakker"},
        "IsDeleted": False,
        "MasterRecordId": None,
        **changes,
    }


def rows(*records, **more):
    return {"totalSize": len(records), "done": True, "records": list(records), **more}


def composite(*parts):
    names = ("made", "read")
    bodies = [
        {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": name}
        for name, (status, body) in zip(names, parts, strict=True)
    ]
    return {"compositeResponse": bodies}


class Script:
    """A server that gives the answers of a list, one a request, and keeps the requests."""

    def __init__(self):
        self.answers, self.requests, self.log_ins = [], [], 0
        self.log_in = (200, TOKEN)
        self.usage = "api-usage=18/5000"

    @Request.application
    def __call__(self, request):
        if request.path == "/services/oauth2/token":
            self.log_ins += 1
            assert request.form["grant_type"] == "client_credentials"
            return self._answer(*self.log_in)
        self.requests.append((request.method, unquote(request.full_path.rstrip("?")), request.get_data(as_text=True)))
        assert request.headers["Authorization"] == f"Bearer {TOKEN['access_token']}"
        assert request.headers["Sforce-Auto-Assign"] == "FALSE"
        return self._answer(*self.answers.pop(0))

    def _answer(self, status, body=None):
        text = "" if body is None else json.dumps(body)
        return Response(text, status, headers={"Sforce-Limit-Info": self.usage}, mimetype="application/json")

    def sent(self, number=-1):
        return json.loads(self.requests[number][2])


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def config(script):
    server = make_server("127.0.0.1", 0, script, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ConnectorConfig(url=f"http://127.0.0.1:{server.port}", client_id="id", client_secret="the-client-secret")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def crm(config):
    connector, _ = open_connector("salesforce", config, None)
    yield connector
    connector.close()


def new_case(**fields):
    return NewCase(id="unused", key="t-1", fields={"subject": "Printer", "assignee": None, **fields})


def test_a_case_is_made_and_read_in_one_call(script, crm):
    script.answers = [(200, composite((201, {"id": CASE, "success": True, "errors": []}), (200, rows(row()))))]
    case = crm.create_case(new_case(description="It burns"))
    made, read = script.sent()["compositeRequest"]
    assert script.sent()["allOrNone"] is True
    assert (made["method"], made["url"]) == ("POST", "/services/data/v62.0/sobjects/Case")
    assert made["body"] == {
        "Subject": "Printer",
        "Description": "It burns",
        "OwnerId": ME,
        "Portal_Ticket_Id__c": "t-1",
    }
    assert "Id%20%3D%20%27@{made.id}%27" in read["url"]
    assert (case.id, case.number, case.modified_by) == (CASE, "00001026", "Anna Bakker")
    assert case.fields["description"] == "It burns\nnow"
    assert case.fields["assignee"] is None
    assert case.modified_at == datetime(2026, 11, 22, 14, 3, 9, tzinfo=UTC)


def refused(code, message="no", *, status=400, fields=()):
    return status, [{"message": message, "errorCode": code, "fields": list(fields)}]


def halted(cause):
    undone = (400, [{"errorCode": "PROCESSING_HALTED", "message": "rolled back"}])
    return 200, composite(cause, undone)


def test_a_second_case_of_a_ticket_is_refused_by_salesforce(script, crm):
    words = f"duplicate value found: Portal_Ticket_Id__c duplicates value on record with id: {CASE}"
    script.answers = [halted(refused("DUPLICATE_VALUE", words))]
    with pytest.raises(AlreadyExistsError) as exists:
        crm.create_case(new_case())
    assert exists.value.record_id == CASE


def test_a_refused_field_has_our_name(script, crm):
    script.answers = [halted(refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value", fields=["Status"]))]
    with pytest.raises(InvalidError) as invalid:
        crm.update_case(CASE, {"status": "moon"}, version=None)
    assert invalid.value.fields == {"status": "bad value"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (*refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403), RateLimitedError),
        (*refused("INSUFFICIENT_ACCESS_OR_READONLY"), ForbiddenError),
        (*refused("API_DISABLED_FOR_ORG", status=403), ForbiddenError),
        (*refused("UNABLE_TO_LOCK_ROW"), UnreachableError),
        (*refused("ENTITY_IS_DELETED", status=404), GoneError),
        (*refused("NOT_FOUND", status=404), NotFoundError),
        (*refused("STRING_TOO_LONG", fields=["Subject"]), InvalidError),
        (*refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Give a product"), InvalidError),
        (503, [{"errorCode": "SERVER_UNAVAILABLE", "message": "maintenance"}], UnreachableError),
        (300, ["/services/data/v62.0/sobjects/Case/1", "/services/data/v62.0/sobjects/Case/2"], InvalidError),
    ],
)
def test_refusals_are_sorted_by_their_code(script, crm, status, body, error):
    script.answers = [(status, body)]
    with pytest.raises(error):
        crm.remove("case", CASE)


def test_an_expired_token_is_renewed_once(script, crm):
    script.answers = [(401, EXPIRED), (200, rows(row()))]
    assert crm.get_case(CASE).id == CASE
    assert script.log_ins == 2
    script.answers = [(401, EXPIRED), (401, EXPIRED)]
    with pytest.raises(UnauthorisedError, match="a token it has just given out"):
        crm.get_case(CASE)


def test_a_wrong_client_is_told_what_to_check(script, crm):
    script.log_in = (400, {"error": "invalid_client", "error_description": "invalid client credentials"})
    with pytest.raises(UnauthorisedError, match=r"CRM_CLIENT_ID and CRM_CLIENT_SECRET.*My Domain"):
        crm.info()


def test_the_last_calls_of_a_day_are_left_to_others(script, crm):
    script.usage = "api-usage=4500/5000"
    script.answers = [(200, rows(row()))]
    crm.get_case(CASE)
    with pytest.raises(RateLimitedError, match="4,500 of the 5,000 API calls") as limited:
        crm.get_case(CASE)
    assert timedelta(minutes=14) < limited.value.retry_after <= timedelta(minutes=15)
    crm._api._paused_until = 0
    script.usage, script.answers = "api-usage=4000/5000", [(200, rows(row())), (200, rows(row()))]
    crm.get_case(CASE)
    crm.get_case(CASE)


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_that_cannot_be_is_refused(config, tmp_path, share):
    file = '[fields.subject]\nattribute = "Subject"\n[fields.description]\nattribute = "Description"\n'
    (tmp_path / "map.toml").write_text(f"{file}[connector]\napi_share = {share}\n")
    with pytest.raises(ConfigError, match="api_share"):
        open_connector("salesforce", config, tmp_path / "map.toml")


def test_deleted_and_merged_cases_are_told(script, crm):
    script.answers = [(200, rows()), (200, rows(row(IsDeleted=True, MasterRecordId="500other")))]
    with pytest.raises(NotFoundError):
        crm.get_case(CASE)
    with pytest.raises(GoneError) as gone:
        crm.get_case(CASE)
    assert gone.value.merged_into == "500other"


def test_a_case_is_found_by_its_ticket(script, crm):
    script.answers = [
        (200, rows(row())),
        (200, rows()),
        (200, rows(row(), row(Id="500B"))),
        (200, rows(row(IsDeleted=True))),
    ]
    new = NewCase(id="x", key="it's \\ one")
    assert crm.find_case(new).id == CASE
    assert "Portal_Ticket_Id__c = 'it\\'s \\\\ one'" in script.requests[0][1]
    assert crm.find_case(new) is None
    with pytest.raises(AmbiguousError):
        crm.find_case(new)
    with pytest.raises(GoneError):
        crm.find_case(new)


def test_nobody_as_owner_is_the_user_we_act_as(script, crm):
    script.answers = [(200, composite((204, None), (200, rows(row()))))]
    crm.update_case(CASE, {"assignee": None, "description": None}, version=None)
    assert script.sent()["compositeRequest"][0]["body"] == {"OwnerId": ME, "Description": None}


def test_the_feed_goes_on_behind_the_last_row(script, crm, monkeypatch):
    monkeypatch.setattr("crm_sync_service.connectors.salesforce.connector._PAGE", 2)
    same = "2026-11-22T14:03:09.000+0000"
    script.answers = [(200, rows(row(Id="500A"), row(Id="500B", SystemModstamp=same))), (200, rows(row(Id="500C")))]
    first = crm.changed_cases("2026-11-22T14:00:00.000Z", page=None)
    assert (
        "WHERE SystemModstamp >= 2026-11-22T14:00:00.000Z ORDER BY SystemModstamp, Id LIMIT 2" in script.requests[0][1]
    )
    assert (first.newest, first.next) == ("2026-11-22T14:03:09.000Z", "2026-11-22T14:03:09.000Z 500B")
    second = crm.changed_cases("2026-11-22T14:00:00.000Z", page=first.next)
    where = "(SystemModstamp > 2026-11-22T14:03:09.000Z OR (SystemModstamp = 2026-11-22T14:03:09.000Z AND Id > '500B'))"
    assert where in script.requests[1][1]
    assert ([r.case_id for r in second.rows], second.next) == (["500C"], None)
    assert crm.rewind(first.newest, timedelta(minutes=5)) == "2026-11-22T13:58:09.000Z"


def test_a_batch_that_salesforce_cuts_short_is_read_to_its_end(script, crm):
    following = "/services/data/v62.0/query/01gD0000002HU6KIAW-2000"
    script.answers = [(200, rows(row(Id="500A"), done=False, nextRecordsUrl=following)), (200, rows(row(Id="500B")))]
    assert [r.case_id for r in crm.changed_cases(None, page=None).rows] == ["500A", "500B"]
    assert script.requests[1][1] == following


def test_two_changes_within_a_second_have_two_stamps(script, crm):
    script.answers = [(200, rows(row())), (200, rows(row(Priority="High"))), (200, rows(row(Priority="High")))]
    first, second = crm.get_case(CASE), crm.get_case(CASE)
    assert first.stamp != second.stamp
    assert crm.changed_cases(None, page=None).rows[0].stamp == second.stamp


def comment(text, comment_id="00aB0000000iM6E"):
    return {
        "Id": comment_id,
        "ParentId": CASE,
        "CommentBody": text,
        "CreatedBy": {"Name": "Anna Bakker"},
        "CreatedDate": "2026-11-22T14:03:09.000+0000",
    }


NOTE = NewNote(
    id="n",
    key="r-1",
    case_id=CASE,
    title="",
    body="Hello",
    author="Carol",
    side="customer",
    position=1,
    created_at=datetime(2026, 11, 22, tzinfo=UTC),
)


def test_a_comment_names_its_reply(script, crm):
    script.answers = [(200, rows()), (201, {"id": "00aB", "success": True, "errors": []})]
    assert crm.create_note(NOTE) == "00aB"
    assert script.sent() == {"ParentId": CASE, "CommentBody": "Hello\n[Casebridge r-1]", "IsPublished": False}


def test_the_words_of_a_comment_can_be_taken_out(script, crm):
    script.answers = [(204, None)]
    crm.rewrite_note("00aB", replace(NOTE, body="[redacted]"))
    assert script.sent() == {"CommentBody": "[redacted]\n[Casebridge r-1]"}


def test_a_comment_that_is_there_is_not_made_again(script, crm):
    script.answers = [(200, rows(comment("Hello\r\n[Casebridge r-1]")))]
    with pytest.raises(AlreadyExistsError) as exists:
        crm.create_note(NOTE)
    assert exists.value.record_id == "00aB0000000iM6E"


def test_comments_of_people_have_no_key(script, crm):
    script.answers = [(200, rows(comment("Called\r\nher"), comment("Hello\r\n[Casebridge r-1]", "00aC")))]
    assert [(n.body, n.key) for n in crm.notes_of(CASE)] == [("Called\nher", None), ("Hello", "r-1")]


def test_a_contact_is_looked_for_first(script, crm):
    carol = {
        "Id": "003B",
        "Name": "Carol Jansen",
        "Email": "carol@acme.example",
        "AccountId": "001B",
        "IsDeleted": False,
    }
    new = NewContact(id="x", name="Carol van Jansen", emails=("carol@acme.example",))
    script.answers = [(200, rows(carol)), (200, rows()), (201, {"id": "003C", "success": True, "errors": []})]
    with pytest.raises(AlreadyExistsError) as exists:
        crm.create_contact(new)
    assert exists.value.record_id == "003B"
    assert crm.create_contact(new).crm_id == "003C"
    assert script.sent() == {
        "LastName": "Jansen",
        "FirstName": "Carol van",
        "Email": "carol@acme.example",
        "AccountId": None,
    }


def test_the_directory_tells_who_is_active(script, crm):
    script.answers = [
        (
            200,
            rows(
                {
                    "Id": "005A",
                    "Name": "Anna",
                    "Email": "a@x",
                    "IsActive": False,
                    "SystemModstamp": row()["SystemModstamp"],
                }
            ),
        )
    ]
    entry = crm.changed_directory("user", None, page=None).rows[0]
    assert (entry.active, entry.emails) == (False, ("a@x",))
    assert "FROM User WHERE UserType = 'Standard'" in script.requests[0][1]


def described(*fields, **rights):
    return {"createable": True, "updateable": True, "fields": list(fields), **rights}


def test_what_is_missing_is_told_with_its_place_in_setup(script, crm):
    key = {"name": "Portal_Ticket_Id__c", "type": "string", "length": 64, "unique": True}
    script.answers = [(200, described(key)), (200, described())]
    assert crm.missing() == []
    script.answers = [(200, described()), (200, described(createable=False))]
    words = [each.what for each in crm.missing()]
    assert words == [
        "the unique field Portal_Ticket_Id__c on Case",
        "the right to make and change records of CaseComment",
    ]


def test_fields_are_described_with_their_active_options(script, crm):
    values = [{"value": "New", "label": "New", "active": True}, {"value": "Old", "label": "Old", "active": False}]
    status = {"name": "Status", "type": "picklist", "length": 255, "picklistValues": values, "nillable": True}
    needed = {"name": "X__c", "type": "string", "length": 10, "nillable": False, "createable": True}
    script.answers = [(200, described(status, needed))]
    fields = crm.case_fields()
    assert (fields["Status"].options, fields["Status"].length) == ({"New": "New"}, 255)
    assert (fields["X__c"].required, fields["X__c"].options) == (True, None)
