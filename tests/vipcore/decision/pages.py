"""Mirrors with status pages that say what a test tells them to."""

from typing import Any

from tests.promises.harness import Harness, Node
from tests.promises.helpers import paged_document
from vipcore.model import Page

P, N, U = Page.PRIMARY, Page.NOT_PRIMARY, Page.UNKNOWN
BINDING = ["CheckBecomePrimaryOK", "NotifyBecomePrimary"]
OTHERS = ["startup", "manual", "watch"]
A_WHILE = 600.0


def paged(a: Page, b: Page, **mirror: Any) -> tuple[Harness, Node]:
    """A harness whose members have pages that say so, and an instance on it."""
    harness = Harness(document=paged_document(**mirror))
    harness.pages = {"MIRRORA": a, "MIRRORB": b}
    return harness, harness.node("n1")
