"""The page as HTML. Everything from outside is escaped, and nothing but this very style and script is allowed to run.

The only importer of Jinja2; nobody imports this file before the page is first asked for (docs/architecture.md, "Cold start").
Style and script stand in the page, so that one route is all of it, and the policy names them by their hashes.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

FOLDER: Final = Path(__file__).parent / "templates"
_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%230b7a75' "
    "d='M2 2h12v5H2zM2 9h12v5H2z'/%3E%3C/svg%3E"
)


@cache
def _environment() -> jinja2.Environment:
    """Compiled once per process. A name that a template misspells is an error, never an empty text."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # Our own files. They must stand in the page as they are: an escaped `>` would be another text than the one that is hashed.
    made.globals.update(style=Markup(_own("page.css")), script=Markup(_own("page.js")), favicon=_ICON)  # noqa: S704
    return made


def html(template: str, **values: Any) -> str:
    """The page that the template makes of these values. What no encoding has (half a surrogate pair) is shown as `?`."""
    return _environment().get_template(template).render(**values).encode("utf-8", "replace").decode()


@cache
def headers() -> Mapping[str, str]:
    """What a browser may do with the page: run its own script and style, ask its own address again, and nothing else."""
    policy = (
        "default-src 'none'",
        f"script-src {_hash('page.js')}",
        f"style-src {_hash('page.css')}",
        "img-src data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


@cache
def _own(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(name: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(_own(name).encode()).digest()).decode()}'"
