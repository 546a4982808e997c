"""What stands in calls and answers, for several resources."""

from marshmallow import Schema, fields
from marshmallow.validate import Range

from portal_service.api.fields import Out, QueryNumber, nullable, pattern, text

MOST_ITEMS = 100
CURSOR = "^[A-Za-z0-9_=-]*$"


class Named(Out):
    """A record by id and name."""

    id = fields.UUID()
    name = fields.String()


class Person(Out):
    """Somebody, by name."""

    name = fields.String()


class Paged(Schema):
    """Where a list begins and how long it is."""

    limit = QueryNumber(validate=Range(min=1, max=MOST_ITEMS), load_default=25)
    after = pattern(CURSOR, 2000, metadata={"description": "`next` of the page before."})


class FieldProblem(Out):
    """What is wrong with one field; the field "" is the request as a whole."""

    field = fields.String()
    detail = fields.String()


class Problem(Out):
    """RFC 9457 problem details."""

    type = fields.String()
    title = fields.String()
    status = fields.Integer()
    detail = fields.String()
    code = fields.String(metadata={"always": False, "description": "For programs; it never changes."})
    request_id = fields.String()
    errors = fields.List(fields.Nested(FieldProblem), metadata={"always": False})


class File(Out):
    """A file of a ticket."""

    id = fields.UUID()
    name = fields.String()
    content_type = fields.String()
    size = fields.Integer(metadata={"description": "Bytes."})
    sha256 = fields.String()
    comment = nullable(fields.UUID(attribute="entry_id"))
    created_at = fields.DateTime()


class InternalFile(File):
    """A file as staff see it."""

    internal = fields.Boolean()


class Files(Out):
    items = fields.List(fields.Nested(File))


class InternalFiles(Out):
    items = fields.List(fields.Nested(InternalFile))


class Password(Schema):
    """The present password, for what an open token alone must not do."""

    password = text(200, required=True)
