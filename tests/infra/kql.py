"""A reader of the part of KQL that infra/alerts.json uses, so that the alerts can be replayed on the app's own log.

`table | where ... | extend Name = extract("...", n, Column) | summarize Name = count() by Column | project ...`. Whether
Microsoft's own parser accepts a query, with these tables and columns, is another test's question (kql.cjs).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

Row = Mapping[str, Any]

COLUMNS: Final = {
    "AppTraces": {"TimeGenerated": "datetime", "Message": "string", "SeverityLevel": "int", "AppRoleInstance": "string"},
    "AppRequests": {"TimeGenerated": "datetime", "Name": "string", "Success": "bool", "ResultCode": "string"},
    "StorageTableLogs": {
        "TimeGenerated": "datetime", "OperationName": "string", "RequesterObjectId": "string", "CallerIpAddress": "string",
        "Uri": "string",
    },
}  # fmt: skip
"""Table -> column -> type, as Azure Monitor documents them: those that the queries may name."""

_TOKEN: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d+|==|!=|>=|<=|[|=<>(),])')
_COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    ">=": lambda left, right: left >= right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    "<": lambda left, right: left < right,
    "startswith": lambda left, right: left.lower().startswith(right.lower()),
    "has_cs": lambda left, right: re.search(rf"(?<![A-Za-z0-9]){re.escape(right)}(?![A-Za-z0-9])", left) is not None,
    "in": lambda left, right: left in right,
}


class Query:
    """One query, read once."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self.table = self._next()
        self._steps: list[Callable[[Sequence[Row]], Sequence[Row]]] = []
        while self._tokens:
            self._expect("|")
            self._steps.append(
                {"where": self._where, "extend": self._extend, "summarize": self._summarize, "project": self._project}[
                    self._next()
                ]()
            )

    def run(self, tables: Mapping[str, Sequence[Row]]) -> Sequence[Row]:
        """The rows that it finds."""
        rows = tables[self.table]
        for step in self._steps:
            rows = step(rows)
        return rows

    def _next(self) -> str:
        return self._tokens.pop(0)

    def _take(self, *words: str) -> str | None:
        return self._tokens.pop(0) if self._tokens and self._tokens[0] in words else None

    def _expect(self, word: str) -> None:
        if self._take(word) is None:
            raise SyntaxError(f"{word!r} is expected before {self._tokens[:5]}")

    def _where(self) -> Callable[[Sequence[Row]], Sequence[Row]]:
        holds = self._either()
        return lambda rows: [row for row in rows if holds(row)]

    def _either(self) -> Callable[[Row], bool]:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        if (negated := self._take("not")) or self._take("("):
            if negated:
                self._expect("(")
            inner = self._either()
            self._expect(")")
            return (lambda row: not inner(row)) if negated else inner
        column, compared, value = self._next(), _COMPARED[self._next()], self._value()
        return lambda row: compared(row[column], value)

    def _value(self) -> Any:
        token = self._next()
        if token == "(":
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            self._expect(")")
            return values
        return {"true": True, "false": False}[token] if token in ("true", "false") else _literal(token)

    def _extend(self) -> Callable[[Sequence[Row]], Sequence[Row]]:
        name = self._next()
        for word in ("=", "extract", "("):
            self._expect(word)
        form = re.compile(_literal(self._next()))
        self._expect(",")
        group = _literal(self._next())
        self._expect(",")
        column = self._next()
        self._expect(")")

        def extended(rows: Sequence[Row]) -> Sequence[Row]:
            return [{**row, name: match[group] if (match := form.search(row[column])) else ""} for row in rows]

        return extended

    def _summarize(self) -> Callable[[Sequence[Row]], Sequence[Row]]:
        name = self._next()
        for word in ("=", "count", "(", ")"):
            self._expect(word)
        by = self._next() if self._take("by") else None

        def counted(rows: Sequence[Row]) -> Sequence[Row]:
            if by is None:
                return [{name: len(rows)}]
            return [{by: value, name: count} for value, count in Counter(row[by] for row in rows).items()]

        return counted

    def _project(self) -> Callable[[Sequence[Row]], Sequence[Row]]:
        names = [self._next()]
        while self._take(","):
            names.append(self._next())
        return lambda rows: [{name: row[name] for name in names} for row in rows]


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxError(f"not of our part of KQL: {text[at : at + 30]!r}")
        found.append(match[1])
        at = match.end()
    return found


def _literal(token: str) -> Any:
    return int(token) if token.isdigit() else re.sub(r"\\(.)", r"\1", token[1:-1])


def minutes(period: str) -> timedelta:
    """An ISO period of minutes or hours, such as PT5M."""
    match = re.fullmatch(r"PT(\d+)([MH])", period)
    assert match, period
    return timedelta(minutes=int(match[1]) * (60 if match[2] == "H" else 1))


def fired(rule: Row, tables: Mapping[str, Sequence[Row]], began: datetime, ended: datetime) -> list[datetime]:
    """When Azure Monitor would raise this alert: it looks every `every` at the rows of the last `window`."""
    query, every, window = Query(rule["query"]), minutes(rule["every"]), minutes(rule["window"])
    found, at = [], began + every
    while at <= ended:
        seen = {name: [row for row in rows if at - window < row["TimeGenerated"] <= at] for name, rows in tables.items()}
        if {"GreaterThan": len(query.run(seen)) > rule["threshold"], "LessThan": len(query.run(seen)) < rule["threshold"]}[
            rule["operator"]
        ]:
            found.append(at)
        at += every
    return found
