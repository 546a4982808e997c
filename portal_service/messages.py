"""Marks texts for the translation catalogues where they are declared; the pages translate them where they are shown."""


def message(text: str) -> str:
    """The English text, which is also its key in the catalogues (`pybabel extract -k message`)."""
    return text
