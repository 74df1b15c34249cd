"""How long a request may take, in seconds: each limit leaves the next one time to do its part."""

from typing import Final

USE_CASE_S_MAX: Final = 190.0
"""A claim or a move ends by itself by then: it writes down how far it came and gives its lease back."""

ANSWER_S_MAX: Final = 199.0
"""The app answers by then whatever still runs, such as a table that hangs: every request has its answer within 200 s."""

PLATFORM_S_MAX: Final = 230.0
"""Azure's front end cuts a request off then (https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout).

Nothing of a request is committed later. `functionTimeout` in host.json (300 s) is longer: it ends no request, only a timer pass
that hangs.
"""
