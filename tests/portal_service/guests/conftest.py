"""The portal's pages for the tests of guests."""

from tests.portal_service.web.conftest import (
    app,
    carol,
    database,
    dave,
    demo_file,
    nobody,
    peter,
    png,
    sam,
    settings,
    visitors,
)

__all__ = ["app", "carol", "database", "dave", "demo_file", "nobody", "peter", "png", "sam", "settings", "visitors"]
