"""Change one line of the core, as a slip of the hand would, and put it back afterwards.

`edited(function, (old, new), ...)` compiles the function anew with these pieces of its source replaced; a piece that is not
there exactly once raises, so that a mutant cannot come to change nothing when the core is rewritten.
"""

import inspect
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

Patches = Sequence[tuple[Any, str, Any]]


def edited(function: Any, *edits: tuple[str, str]) -> Patches:
    """The patches that put the changed function everywhere the core has the genuine one, a class or modules that import it."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in edits:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} is {source.count(old)} times in {function.__qualname__}")
        source = source.replace(old, new)
    module, made = sys.modules[function.__module__], dict[str, Any]()
    exec(compile(source, f"<edited {function.__qualname__}>", "exec"), vars(module), made)
    changed = made[function.__name__]
    owner, _, name = function.__qualname__.rpartition(".")
    if owner:
        return [(getattr(module, owner), name, changed)]
    users = [found for key, found in sys.modules.items() if key.startswith(("vipcore", "tests.promises.harness"))]
    return [(user, name, changed) for user in users if vars(user).get(name) is function]
