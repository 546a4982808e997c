"""Tickets by API, from filing to rating."""

from collections.abc import Callable

from tests.portal_service.api.calling import Program, code_of, faults


def test_a_ticket_from_filing_to_rating(carol: Program, sam: Program) -> None:
    filed = carol.post("/tickets", carol.request(nature="incident", information={"error_text": "E42"}))
    assert filed.status_code == 201
    number = filed.json["number"]
    assert filed.headers["Location"] == f"/api/v1/tickets/{number}"
    assert filed.json["details"] == {"Nature of the request": "Incident", "Error text": "E42"}
    assert filed.json["priority"] == "high"

    asked = sam.post(f"/tickets/{number}/comments", {"body": "Which version?", "ask": True})
    assert asked.status_code == 201
    assert carol.get(f"/tickets/{number}").json["status"] == "pending"
    assert carol.post(f"/tickets/{number}/comments", {"body": "4.1", "solve": True}).status_code == 201
    assert carol.get(f"/tickets/{number}").json["status"] == "solved"

    rated = carol.put(f"/tickets/{number}/rating", {"score": 5, "words": "Quick!"})
    assert rated.json["rating"]["score"] == 5
    said = carol.get(f"/tickets/{number}/comments").json["items"]
    assert [(one["side"], one["body"]) for one in said] == [("staff", "Which version?"), ("customer", "4.1")]


def test_what_is_wrong_is_told_by_field_in_the_language_asked_for(carol: Program) -> None:
    request = carol.request(subject=" ", product_id=None)
    del request["product_id"]
    english = carol.post("/tickets", request)
    assert code_of(english) == (422, "invalid")
    assert faults(english).keys() == {"subject", "product_id"}
    dutch = carol.post("/tickets", request, headers={"Accept-Language": "nl"})
    assert faults(dutch)["subject"] == "Vul dit in."


def test_a_malformed_call_is_not_an_unacceptable_one(carol: Program) -> None:
    assert code_of(carol.post("/tickets", {**carol.request(), "subject": 5})) == (400, "malformed")
    assert faults(carol.post("/tickets", {**carol.request(), "status": "closed"})).keys() == {"status"}
    assert code_of(carol.call("POST", "/tickets", data="{", content_type="application/json")) == (400, "malformed")
    assert carol.call("POST", "/tickets", data="a=b").status_code == 415
    assert code_of(carol.get("/tickets?limit=0")) == (400, "malformed")
    assert code_of(carol.get("/tickets?limit=1&limit=2")) == (400, "malformed")


def test_a_change_on_an_old_version_is_refused(carol: Program, sam: Program) -> None:
    number = carol.file()
    old = sam.get(f"/tickets/{number}").headers["ETag"]
    assert sam.patch(f"/tickets/{number}", {"priority": "low"}, headers={"If-Match": old}).json["priority"] == "low"
    late = sam.patch(f"/tickets/{number}", {"priority": "urgent"}, headers={"If-Match": old})
    assert code_of(late) == (412, "changed")
    assert sam.get(f"/tickets/{number}").headers["ETag"].startswith(late.headers["ETag"].removesuffix('"') + "-")
    assert sam.get(f"/tickets/{number}").json["priority"] == "low"
    assert sam.patch(f"/tickets/{number}", {"priority": "urgent"}, headers={"If-Match": "*"}).status_code == 200


def test_what_a_caller_has_already_is_not_sent_again(carol: Program, sam: Program) -> None:
    number = carol.file()
    for path in (f"/tickets/{number}", "/tickets", "/products", f"/tickets/{number}/history"):
        first = carol.get(path)
        known = {"If-None-Match": first.headers["ETag"]}
        again = carol.get(path, headers=known)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"]), path
        other_words = carol.get(path, headers={"If-None-Match": '"0123456789abcdef"'})
        assert (other_words.status_code, other_words.data) == (200, first.data), path
    ticket = carol.get(f"/tickets/{number}")
    known = {"If-None-Match": ticket.headers["ETag"]}
    assert sam.get(f"/tickets/{number}", headers=known).status_code == 200, "staff are told more"
    sam.post(f"/tickets/{number}/review")
    assert carol.get(f"/tickets/{number}", headers=known).json["status"] == "open"


def test_transferring_changes_only_what_is_given(carol: Program, sam: Program) -> None:
    number = carol.file()
    product = sam.get(f"/tickets/{number}").json["product"]
    nora = next(one["id"] for one in sam.get("/staff").json["items"] if one["name"] == "Nora Bakker")
    moved = sam.post(f"/tickets/{number}/transfer", {"assignee_id": nora, "note": "Yours, I think."})
    assert moved.json["assignee"] == "Nora Bakker"
    assert moved.json["product"] == product
    assert sam.get(f"/tickets/{number}/comments").json["items"][-1]["internal"] is True


def test_deleting_and_restoring(carol: Program, sam: Program) -> None:
    number = carol.file()
    assert sam.delete(f"/tickets/{number}").status_code == 204
    assert sam.get(f"/tickets/{number}").status_code == 404
    assert carol.get(f"/tickets/{number}").status_code == 404
    assert sam.post(f"/tickets/{number}/restore").status_code == 200
    assert carol.get(f"/tickets/{number}").status_code == 200
    assert sam.post(f"/tickets/{number}/restore").status_code == 404


def test_a_status_that_cannot_be_is_a_conflict(carol: Program, sam: Program) -> None:
    number = carol.file()
    assert sam.post(f"/tickets/{number}/close").json["status"] == "closed"
    assert code_of(sam.post(f"/tickets/{number}/close")) == (409, "refused")
    assert carol.post(f"/tickets/{number}/reopen").json["status"] == "open"
    assert sam.post(f"/tickets/{number}/pending").json["status"] == "pending"


def test_an_agent_files_for_a_contact(sam: Program, carol: Program) -> None:
    contact = sam.get("/contacts?q=carol").json["items"][0]
    filed = sam.post("/tickets", {**carol.request(), "contact_id": contact["id"]})
    assert filed.status_code == 201
    assert filed.json["requester"]["name"] == "Carol Jansen"
    assert filed.json["filed_by"] == "Sam Peters"
    assert carol.get(f"/tickets/{filed.json['number']}").status_code == 200
    assert faults(sam.post("/tickets", carol.request())).keys() == {"contact_id"}


def test_what_was_said_stays_and_the_attempt_is_remembered(carol: Program, sam: Program) -> None:
    number = carol.file()
    refused = sam.patch(f"/tickets/{number}", {"description": "Something nicer", "priority": "low"})
    assert code_of(refused) == (409, "refused")
    kept = sam.get(f"/tickets/{number}").json
    assert (kept["description"], kept["priority"]) == ("I press export\nand get an empty page.", "normal")
    last = sam.get(f"/tickets/{number}/history").json["items"][-1]
    assert (last["action"], last["field"]) == ("refused", "description")
    assert "refused" not in carol.get(f"/tickets/{number}/history").text


def test_a_ticket_refers_to_one_its_requester_may_read(carol: Program, dave: Program) -> None:
    old = carol.file()
    new = carol.file(parent_number=old)
    assert carol.get(f"/tickets/{new}").json["parent_number"] == old
    refused = dave.post("/tickets", dave.request(parent_number=old))
    assert (refused.status_code, list(faults(refused))) == (422, ["parent_number"])


def test_only_the_requester_rates_a_ticket(carol: Program, program: Callable[..., Program], nobody: Program) -> None:
    number = carol.file()
    peter = program("peter")
    carol.post(f"/tickets/{number}/solve")
    assert peter.get(f"/tickets/{number}").status_code == 200, "a colleague reads it"
    assert code_of(peter.put(f"/tickets/{number}/rating", {"score": 1}))[0] in {403, 409}
    key = carol.post(f"/tickets/{number}/keys").json["key"]
    nobody.token = nobody.post("/guest/tokens", {"number": number, "key": key}).json["token"]
    assert nobody.put(f"/tickets/{number}/rating", {"score": 5}).json["rating"]["score"] == 5
