"""Checks of Cases, Notes and contacts: made once whatever happens, changed as asked, gone when deleted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from crm_sync_service.connectors.base import (
    AlreadyExistsError,
    AmbiguousError,
    CaseFields,
    CaseRecord,
    Connector,
    CrmError,
    GoneError,
    InvalidError,
    NewCase,
    NotFoundError,
    StaleError,
)
from crm_sync_service.connectors.conformance.proxy import Loss
from crm_sync_service.connectors.conformance.trial import Trial, VerdictError, degraded, fails, skipped
from crm_sync_service.mapping import OPTION_FIELDS
from shared.ids import new_id

_AT_ONCE = 4
_ROUNDS = 5


def removal(trial: Trial) -> str:
    """Tried with one record of each kind before there are many."""
    case = trial.create("removal")
    trial.add_note(trial.new_note(case.id))
    trial.made("contact", trial.crm.create_contact(trial.new_contact()).crm_id)
    left = trial.clean_up()
    if left:
        reasons = "; ".join(f"{each.kind} {each.record_id}: {each.reason}" for each in left)
        raise fails(
            "these cannot be removed, so nothing more is made. Allow the API user to delete Cases, Notes and contacts "
            f"for this check, then remove by hand: {reasons}"
        )
    try:
        trial.crm.get_case(case.id)
    except NotFoundError:
        return "a Case, a Note and a contact were made and removed"
    raise fails(f"the Case {case.id} was removed and is still there: remove it by hand")


def create_and_read(trial: Trial) -> str:
    new = trial.new_case("create and read")
    made = trial.crm.create_case(new)
    trial.made("case", made.id)
    again = trial.crm.get_case(made.id)
    if (made.fields, made.stamp) != (again.fields, again.stamp):
        raise fails(f"what creating answers is not what is read: {_differences(made.fields, again.fields)}")
    wanted = {
        name: value if name in OPTION_FIELDS else trial.crm.normalise(name, value) for name, value in new.fields.items()
    }
    wrong = _differences(wanted, again.fields)
    if wrong:
        raise fails(f"read back differently: {wrong}")
    if not again.number:
        raise degraded("a Case has no number that people could name")
    return f"Case {again.number}, {len(wanted)} fields"


def _differences(wanted: CaseFields, found: CaseFields) -> str:
    return "; ".join(
        f"{name} was {value!r:.80}, is {found.get(name)!r:.80}"
        for name, value in wanted.items()
        if found.get(name) != value
    )


def create_twice(trial: Trial) -> str:
    new = trial.new_case("create twice")
    first = trial.crm.create_case(new)
    trial.made("case", first.id)
    try:
        second = trial.crm.create_case(new)
    except AlreadyExistsError:
        _only(trial, new, first.id)
        return "the second is refused, and the first is found"
    trial.made("case", second.id)
    raise fails(f"a second Case was made: {first.id} and {second.id}")


def _only(trial: Trial, new: NewCase, case_id: str | None = None) -> str:
    """The one Case of an attempt; fails if there is none, or another."""
    try:
        found = trial.crm.find_case(new)
    except AmbiguousError as error:
        raise fails(f"several Cases carry one key: {', '.join(error.record_ids)}") from error
    if found is None:
        raise fails("the Case is there, but looking for it does not find it")
    if case_id is not None and found.id != case_id:
        raise fails(f"looking for the Case finds {found.id} instead of {case_id}")
    return found.id


def create_at_once(trial: Trial) -> str:
    """Two workers that both believe to own a ticket."""
    refused = 0
    for _ in range(_ROUNDS):
        new = trial.new_case("create at once")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            made = [case for case in pool.map(partial(_try_create, trial.crm), [new] * _AT_ONCE) if case]
        for case in made:
            trial.made("case", case.id)
        if len({case.id for case in made}) > 1:
            raise _doubled(trial, f"{len(made)} Cases were made by {_AT_ONCE} attempts at once")
        _only(trial, new)
        refused += _AT_ONCE - len(made)
    return f"one Case in each of {_ROUNDS} rounds; {refused} attempts were refused"


def _doubled(trial: Trial, words: str) -> VerdictError:
    """A CRM that says that it refuses a second one has to; of another the engine asks for no two at once."""
    can = trial.crm.capabilities
    if can.client_ids or can.unique_keys:
        return fails(words)
    return degraded(f"{words}: it keeps neither ids nor keys of ours unique, so each ticket is left to one worker")


def _try_create(crm: Connector, new: NewCase) -> CaseRecord | None:
    try:
        return crm.create_case(new)
    except CrmError:
        return None


def unclear_create(trial: Trial) -> str:
    words = [_unclear(trial, loss, arrives=loss != "request") for loss in ("request", "answer", "half the answer")]
    return "; ".join(words)


def _unclear(trial: Trial, loss: Loss, *, arrives: bool) -> str:
    crm, new = trial.through_proxy(), trial.new_case(f"lost {loss}")
    before = trial.proxy.lost
    with trial.proxy.losing(loss):
        made = _try_create(crm, new)
    if trial.proxy.lost == before:
        raise skipped("nothing was lost: this connector does not use the address it is given for its writes")
    found = trial.crm.find_case(new)
    if arrives and found is None and made is None:
        raise fails(f"after a lost {loss} the Case is not found, so that a second would be made")
    if not arrives and made is None and found is not None:
        raise fails("a Case is found that was never made")
    if made is None and found is None:
        made = trial.crm.create_case(new)
        trial.made("case", made.id)
    _only(trial, new)
    try:
        trial.made("case", trial.crm.create_case(new).id)
    except AlreadyExistsError:
        return f"lost {loss}: one Case"
    raise fails(f"after a lost {loss} another try makes a second Case")


def unclear_note(trial: Trial) -> str:
    case = trial.create("unclear Note")
    crm, note = trial.through_proxy(), trial.new_note(case.id)
    before = trial.proxy.lost
    with trial.proxy.losing("answer"), suppress(CrmError):
        trial.add_note(note, crm)
    if trial.proxy.lost == before:
        raise skipped("nothing was lost: this connector does not use the address it is given for its writes")
    found = trial.crm.find_note(note)
    if found is None:
        raise fails("after a lost answer the Note is not found, so that a second would be made")
    trial.made("note", found)
    try:
        trial.add_note(note)
    except AlreadyExistsError:
        return _one_note(trial, case.id, of=1)
    raise fails("after a lost answer another try makes a second Note")


def _one_note(trial: Trial, case_id: str, *, of: int) -> str:
    notes = [note for note in trial.crm.notes_of(case_id) if trial.run in note.body]
    if len(notes) != of:
        raise fails(f"{len(notes)} Notes where {of} belong")
    return "one Note" if of == 1 else f"{of} Notes, each once"


def notes(trial: Trial) -> str:
    case = trial.create("Notes")
    wanted = [trial.new_note(case.id, position=number) for number in (1, 2, 3)]
    ids = [trial.add_note(note) for note in wanted]
    try:
        trial.add_note(wanted[0])
    except AlreadyExistsError:
        pass
    else:
        raise fails("the same Note was made twice")
    found = [note for note in trial.crm.notes_of(case.id) if note.id in ids]
    _one_note(trial, case.id, of=3)
    if {note.id for note in found} != set(ids):
        raise fails("not all Notes of a Case are listed under their ids")
    normalise = trial.crm.normalise
    for note, made in zip(sorted(found, key=lambda note: ids.index(note.id)), wanted, strict=True):
        if note.body != normalise("description", made.body):
            raise fails(f"a Note's text was {made.body!r:.80}, is {note.body!r:.80}")
    if [note.id for note in found] != ids:
        raise degraded("Notes written within one second are not listed in their order")
    return "3 Notes, in order, each once; the same again is refused"


def notes_at_once(trial: Trial) -> str:
    case = trial.create("Note at once")
    note = trial.new_note(case.id)

    def attempt(_: int) -> str | None:
        try:
            return trial.crm.create_note(note)
        except CrmError:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        made = {note_id for note_id in pool.map(attempt, range(_AT_ONCE)) if note_id}
    for note_id in made:
        trial.made("note", note_id)
    if len(made) > 1:
        raise _doubled(trial, f"{len(made)} Notes were made by {_AT_ONCE} attempts at once")
    found = trial.crm.find_note(note)
    if found is None:
        raise fails("the Note is there, but looking for it does not find it")
    trial.made("note", found)
    return _one_note(trial, case.id, of=1)


def contacts(trial: Trial) -> str:
    new = trial.new_contact()
    made = trial.crm.create_contact(new)
    trial.made("contact", made.crm_id)
    for address in (new.emails[0], new.emails[0].upper()):
        found = [entry.crm_id for entry in trial.crm.contacts_by_email(address)]
        if found != [made.crm_id]:
            raise fails(f"looking for {address} finds {len(found)} contacts, not the one that was made")
    if trial.crm.contacts_by_email(f"nobody-{trial.run}@example.com"):
        raise fails("an address that nobody has finds contacts")
    try:
        again = trial.crm.create_contact(new)
    except AlreadyExistsError:
        words = "the same again is refused"
    else:
        trial.made("contact", again.crm_id)
        raise fails("the same contact was made twice")
    case = trial.create("contact", contact=made.crm_id) if trial.has("contact") else None
    if case is not None and trial.crm.get_case(case.id).fields.get("contact") != made.crm_id:
        raise fails("a Case made with a contact is read without it")
    return f"found by its address in any case; {words}"


def account(trial: Trial) -> str:
    if not trial.account or not trial.has("account"):
        raise skipped("no account to try it with was given (account = ... in the file, or --account)")
    case = trial.create("account")
    after = trial.crm.update_case(case.id, {"account": trial.account}, version=case.version)
    if after.fields.get("account") != trial.account:
        raise fails(f"the account was set and is {after.fields.get('account')!r}")
    cleared = trial.crm.update_case(case.id, {"account": None}, version=after.version)
    if cleared.fields.get("account") is not None:
        raise fails(f"the account was cleared and is {cleared.fields.get('account')!r}")
    return "set, read back and cleared"


def update(trial: Trial) -> str:
    case = trial.create("update")
    changed = trial.mapping.values.to_crm("priority", "high") if trial.has("priority") else None
    changes = {"priority": changed} if changed else {"subject": f"{case.fields['subject']} again"}
    after = trial.crm.update_case(case.id, changes, version=case.version)
    wrong = _differences({**case.fields, **changes}, after.fields)
    if wrong:
        raise fails(f"after changing {', '.join(changes)}: {wrong}")
    if trial.crm.get_case(case.id).fields != after.fields:
        raise fails("what the update answers is not what is read")
    return f"changes {', '.join(changes)} and nothing else"


def idle_update(trial: Trial) -> str:
    case = trial.create("idle update")
    after = trial.crm.update_case(case.id, {"subject": case.fields["subject"]}, version=case.version)
    if after.stamp != case.stamp:
        raise degraded("writing a value that is there already counts as a change: only real differences may be written")
    return "writing a value that is there already changes nothing"


def stamps(trial: Trial) -> str:
    case = trial.create("stamps")
    seen = [case.stamp]
    for number in range(5):
        after = trial.crm.update_case(case.id, {"subject": f"{case.fields['subject']} {number}"}, version=None)
        read = trial.crm.get_case(case.id)
        if read.stamp != after.stamp:
            raise fails("an update answers another stamp than a read gives: our own writes would look like changes")
        seen.append(read.stamp)
    if len(set(seen)) != len(seen):
        raise fails(
            f"{len(seen) - len(set(seen))} of 5 changes within a moment left the stamp as it was: they would be missed"
        )
    return "5 changes within a moment, 5 new stamps"


def stale_update(trial: Trial) -> str:
    if not trial.crm.capabilities.conditional_update:
        raise degraded(
            "the CRM takes no version: somebody who writes the same field within milliseconds is overwritten"
        )
    case = trial.create("stale update")
    trial.crm.update_case(case.id, {"subject": f"{case.fields['subject']} first"}, version=case.version)
    try:
        trial.crm.update_case(case.id, {"subject": f"{case.fields['subject']} second"}, version=case.version)
    except StaleError:
        return "an update made for an older version is refused"
    raise fails("an update made for an older version is carried out, though the connector declares otherwise")


def concurrent_edits(trial: Trial) -> str:
    """Two people who change different fields at once: the whole row may be written back."""
    if not trial.has("priority"):
        raise skipped("the mapping has no second field to change")
    high = trial.mapping.values.to_crm("priority", "high")
    lost = 0
    for number in range(_ROUNDS):
        case = trial.create("concurrent edits")
        subject = trial.crm.normalise("subject", f"{case.fields['subject']} {number}")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(partial(_set, trial, case.id), [{"priority": high}, {"subject": subject}]))
        now = trial.crm.get_case(case.id).fields
        lost += now["priority"] != high or now["subject"] != subject
    if lost:
        raise degraded(f"in {lost} of {_ROUNDS} rounds one of two edits of different fields was lost in the CRM itself")
    return f"{_ROUNDS} rounds, both edits kept"


def _set(trial: Trial, case_id: str, changes: CaseFields) -> CaseRecord:
    return trial.crm.update_case(case_id, changes, version=None)


def refusals(trial: Trial) -> str:
    nowhere = str(new_id())
    _told_missing(trial, nowhere, "a Case that is not there")
    if not trial.has("status"):
        return "a Case that is not there is told"
    case = trial.create("refusals")
    try:
        stored = trial.crm.update_case(case.id, {"status": "on the moon"}, version=None)
    except InvalidError as error:
        if set(error.fields) != {"status"}:
            raise degraded(f"a wrong option is refused, but not which field it is: {str(error)[:200]}") from error
        return "a Case that is not there is told; a wrong option is refused by the field's name"
    raise degraded(
        f"a wrong option is taken and read as {stored.fields.get('status')!r}: `casebridge mapping check` finds it"
    )


def _told_missing(trial: Trial, case_id: str, what: str) -> None:
    """Reading and changing both say that it is not there."""
    calls: dict[str, Callable[[], CaseRecord]] = {
        "reading": partial(trial.crm.get_case, case_id),
        "changing": partial(_set, trial, case_id, {"subject": "x"}),
    }
    for doing, call in calls.items():
        try:
            call()
        except NotFoundError:
            continue
        except CrmError as error:
            raise fails(f"{doing} {what} is {type(error).__name__}: {str(error)[:200]}") from error
        raise fails(f"{doing} {what} succeeds")


def deletion(trial: Trial) -> str:
    new = trial.new_case("deletion")
    case = trial.crm.create_case(new)
    trial.made("case", case.id)
    trial.crm.remove("case", case.id)
    _told_missing(trial, case.id, "a deleted Case")
    try:
        found = trial.crm.find_case(new)
    except GoneError:
        return "a deleted Case is gone, and known to have been there"
    if found is not None:
        raise fails("a deleted Case is still found by its key")
    return "a deleted Case is gone"


def merges(_trial: Trial) -> str:
    raise skipped("a connector cannot merge; a merged Case or contact is followed as the deletions above show")
