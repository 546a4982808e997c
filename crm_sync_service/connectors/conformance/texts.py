"""Checks of text and options: what is written comes back as the connector says it will."""

from crm_sync_service.connectors.base import CaseField
from crm_sync_service.connectors.conformance.trial import MARK, Trial, degraded, fails
from crm_sync_service.mapping import BLOCK_BEGIN, BLOCK_END, OPTION_FIELDS
from crm_sync_service.texts import cut

TORTURE = {
    "brackets": "a <b> c",
    "a type": "List<String> xs = f(a<b && c>d);",
    "an address": "Carol Jansen <carol@example.com> wrote:",
    "a tag": "<script>alert(1)</script><!-- gone? --> <b bold",
    "entities": "&lt;b&gt; &amp;amp; &copy; &#39; 100% &",
    "quotes": "\"double\" 'single' `back` \\ back\\slash \\n",
    "emoji": "🔥 👩‍👩‍👧 🇳🇱 é ü ß",
    "other scripts": "火事 العربية עברית ไทย",
    "odd spaces": "a\u00a0b\u2003c\u200bd",
    "lines": "one\ntwo\n\n  three\n",
    "carriage returns": "one\r\ntwo\rthree",
    "tabs": "a\tb",
    "controls": "a\u0007b\u001fc\ufffed",
    "right to left": "abc \u202edef\u202c",
    "a formula": "=1+1; +2 @SUM(A1)",
    "sql": "'; DROP TABLE cases; --",
    "json": '{"a": ["b", null]}',
    "markdown": "**bold** _i_ # h [x](http://example.com)",
    "links": "https://example.com/?a=1&b=<2>#x, http://example.com/a(b)",
    "spaces around": "  padded  ",
    "a zero": "0",
}
_FIELDS: tuple[CaseField, ...] = ("subject", "description")


def case_text(trial: Trial) -> str:
    """Otherwise every look would find a difference that nobody made."""
    wrong, altered = [], []
    for name, text in TORTURE.items():
        case = trial.create("text", **{field: _marked(trial, text, field) for field in _FIELDS})
        again = trial.crm.get_case(case.id)
        for field in _FIELDS:
            sent = _marked(trial, text, field)
            expected = trial.crm.normalise(field, sent)
            if again.fields.get(field) != expected:
                wrong.append(f"{name} in {field}: expected {expected!r:.90}, read {again.fields.get(field)!r:.90}")
            elif _harmed(field, sent, expected):
                altered.append(f"{name} in {field}")
    return _told(wrong, altered, of=len(TORTURE) * 2)


def updated_text(trial: Trial) -> str:
    case = trial.create("text by update")
    wrong, altered = [], []
    for name, text in TORTURE.items():
        changes: dict[str, str | None] = {field: _marked(trial, text, field) for field in _FIELDS}
        after = trial.crm.update_case(case.id, changes, version=None)
        for field in _FIELDS:
            expected = trial.crm.normalise(field, changes[field])
            if after.fields.get(field) != expected:
                wrong.append(f"{name} in {field}: expected {expected!r:.90}, read {after.fields.get(field)!r:.90}")
            elif _harmed(field, changes[field], expected):
                altered.append(f"{name} in {field}")
    again = trial.crm.get_case(case.id)
    kept = trial.crm.update_case(case.id, {name: again.fields.get(name) for name in _FIELDS}, version=None)
    if {name: kept.fields.get(name) for name in _FIELDS} != {name: again.fields.get(name) for name in _FIELDS}:
        raise fails("writing back what was read changes it: it would change with every look")
    return _told(wrong, altered, of=len(TORTURE) * 2)


def note_text(trial: Trial) -> str:
    case = trial.create("text of Notes")
    wrong, altered, sent = [], [], {}
    for name, text in TORTURE.items():
        note = trial.new_note(case.id, body=f"{MARK} {trial.run}\n{text}.", title=f"{MARK}: {' '.join(text.split())}.")
        sent[trial.add_note(note)] = (name, note)
    found = {note.id: note for note in trial.crm.notes_of(case.id)}
    titled = trial.crm.capabilities.text.note_title_length > 0
    for note_id, (name, note) in sent.items():
        if note_id not in found:
            raise fails(f"the Note with {name} is not listed")
        body = trial.crm.normalise("description", note.body)
        if found[note_id].body != body:
            wrong.append(f"{name}: expected {body!r:.90}, read {found[note_id].body!r:.90}")
        title = trial.crm.normalise("subject", note.title)
        if titled and found[note_id].title != title:
            wrong.append(f"{name} in a title: expected {title!r:.90}, read {found[note_id].title!r:.90}")
        if _harmed("description", note.body, body):
            altered.append(name)
    return _told(wrong, altered, of=len(TORTURE))


def _marked(trial: Trial, text: str, field: str) -> str:
    """The text with our mark, so that it is found again; its end counts, too."""
    return f"{MARK} {trial.run} {text}" if field == "subject" else f"{text}\n{MARK} {trial.run}"


def _harmed(field: str, sent: str | None, stored: str | None) -> bool:
    """Which kind of line ends a CRM keeps is no harm, nor are the spaces of a one-line field."""
    if field == "subject":
        return (stored or "").split() != (sent or "").split()
    return stored != (sent or "").replace("\r\n", "\n").replace("\r", "\n")


def _told(wrong: list[str], altered: list[str], *, of: int) -> str:
    if wrong:
        raise fails(f"{len(wrong)} of {of} texts come back otherwise than the connector says: {'; '.join(wrong[:4])}")
    if altered:
        raise degraded(f"{of - len(altered)} of {of} texts unharmed; shown otherwise in the CRM: {', '.join(altered)}")
    return f"{of} texts come back unharmed"


def limits(trial: Trial) -> str:
    rules, normalise = trial.crm.capabilities.text, trial.crm.normalise
    head = f"{MARK} {trial.run} "
    subject = (head + "ü" * rules.subject_length)[: rules.subject_length]
    size = min(rules.description_bytes, 200_000)
    block = f"{BLOCK_BEGIN}\nTicket: #1 https://support.example.com/tickets/1\n{BLOCK_END}"
    room = size - rules.size(f"\n\n{block}")
    text = f"{cut(head + 'ü🔥 ' * (size // 4), room, mark='… [cut]', size=rules.size)}\n\n{block}"
    case = trial.create("limits", subject=subject, description=text)
    for name, sent in {"subject": subject, "description": text}.items():
        found = trial.crm.get_case(case.id).fields.get(name)
        if found != normalise(name, sent):
            raise fails(
                f"a {name} of the declared length is read otherwise ({len(found or '')} of {len(sent)} characters)"
            )
    note = trial.new_note(
        case.id, body=cut("ü" * min(rules.note_bytes, 200_000), min(rules.note_bytes, 200_000), mark="…")
    )
    note_id = trial.add_note(note)
    bodies = {each.id: each.body for each in trial.crm.notes_of(case.id)}
    if bodies.get(note_id) != normalise("description", note.body):
        raise fails(f"a Note of the declared length is read otherwise ({len(bodies.get(note_id) or '')} characters)")
    return f"subject {rules.subject_length} characters, description {rules.description_bytes:,} bytes"


def options(trial: Trial) -> str:
    """On Cases without a contact, whom closing one might be told."""
    wrong, count = [], 0
    for name in OPTION_FIELDS:
        if not trial.has(name):
            continue
        case = trial.create(f"options of {name}")
        for key in getattr(trial.mapping.values, name):
            option = trial.mapping.values.to_crm(name, key)
            trial.crm.update_case(case.id, {name: option}, version=None)
            found = trial.crm.get_case(case.id).fields.get(name)
            count += 1
            if found != option:
                wrong.append(f"{name} {key} is {option!r}, read {found!r}")
    if wrong:
        raise fails("; ".join(wrong))
    return f"{count} options written and read back"


def clearing(trial: Trial) -> str:
    case = trial.create("clearing")
    after = trial.crm.update_case(case.id, {"description": None}, version=None)
    if after.fields.get("description") is not None:
        raise fails(f"a description that was cleared is read as {after.fields.get('description')!r:.80}")
    return "a cleared field is read as empty"
