"""A small interpreter of ObjectScript: it runs the text of agent/*.mac, so that a slip in a quote, an operator or a name shows.

It knows the part of the language that our routines use, and refuses the rest. Where the language differs from what a
reader of Python expects, it does as ObjectScript: operators have no precedence and go from left to right, every value is a
string or a number and is converted where it is used, variables are trees of subscripts, a dot before a name passes
a variable by reference, an undefined one is an error, and TRY catches it. What belongs to IRIS, and not to the language, is in
library.py.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Value = Any  # str, int, Decimal, or an object of library.py
Subscripts = tuple[str, ...]
Variable = dict[Subscripts, Value]
Variables = dict[str, Variable]

NAME = "%?[A-Za-z][A-Za-z0-9]*"
TOKEN = re.compile(
    r"""(?P<space>[ \t]+|(?:;|//)[^\n]*)|(?P<newline>\n)
    |(?P<string>"(?:[^"\n]|"")*")|(?P<number>\d+(?:\.\d+)?|\.\d+)
    |(?P<extrinsic>\$\$NAME(?:\^NAME)?)|(?P<system>\$system\.NAME\.NAME)|(?P<class>\#\#class\([%\w.]+\)\.NAME)
    |(?P<function>\$[a-z][a-z0-9]*)|(?P<global>\^\$?NAME)|(?P<name>NAME)
    |(?P<operator>'=|'<|'>|'\[|'\]|\*\*|&&|\|\||[-+*/\\\#_=<>'\[\]?(){},.:!])""".replace("NAME", NAME),
    re.VERBOSE | re.IGNORECASE,
)
BINARY = {"+", "-", "*", "/", "\\", "#", "**", "_", "=", "'=", "<", "'<", ">", "'>", "[", "'[", "]", "']", "&&", "||", "?"}
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "**": operator.pow,
    "<": operator.lt,
    ">": operator.gt,
}
TEXTUAL: dict[str, Callable[[str, str], Value]] = {
    "_": operator.add,
    "=": lambda a, b: int(a == b),
    "[": lambda a, b: int(b in a),
    "]": lambda a, b: int(a > b),
}
PATTERN = re.compile(r'(\d*)(\.?)(\d*)([ACELNPU]+|"(?:[^"]|"")*")')
CLASS_OF = {"A": "A-Za-z", "C": r"\x00-\x1f\x7f", "E": r"\s\S", "L": "a-z", "N": "0-9", "P": r"!-/:-@\[-`{-~ ", "U": "A-Z"}


class Frame(Variables):
    """The local variables of one call, and the instance that it runs in: a library.Iris."""

    def __init__(self, iris: Any) -> None:
        super().__init__()
        self.iris = iris


Run = Callable[[Frame], Value]


class IrisError(Exception):
    """What IRIS would throw: TRY catches it."""


class _Left(Exception):
    """QUIT leaves the innermost loop, or the procedure with a value."""

    def __init__(self, value: Value) -> None:
        self.value = value


def number(value: Value) -> int | Decimal:
    """Convert as ObjectScript does: the longest numeric beginning of a string, else 0."""
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, Decimal):
        found = re.match(r"([+-]*)(\d+\.?\d*|\.\d+)(E[+-]?\d+)?", text(value))
        value = Decimal(found[2] + (found[3] or "")) * (-1) ** found[1].count("-") if found else Decimal(0)
    return int(value) if value == value.to_integral_value() else value


def text(value: Value) -> str:
    """Convert to a string; numbers in canonical form, as 1.5, .5 and -.5."""
    if isinstance(value, Decimal):
        plain = format(value.normalize(), "f")
        return re.sub(r"^(-?)0\.", r"\1.", plain) if value else "0"
    return str(int(value)) if isinstance(value, bool) else value if isinstance(value, str) else str(value)


def matches(value: str, pattern: str) -> bool:
    """The pattern match operator."""
    parts = []
    for low, dot, high, what in PATTERN.findall(pattern):
        kind = re.escape(what[1:-1]) if what[0] == '"' else "[" + "".join(CLASS_OF[letter] for letter in what) + "]"
        count = f"{low or 0},{high}" if dot else low
        parts.append(f"(?:{kind}){{{count}}}")
    return re.fullmatch("".join(parts), value) is not None


def operate(sign: str, left: Value, right: Value) -> Value:
    """One binary operator."""
    if sign.startswith("'"):
        return int(not operate(sign[1:], left, right))
    if sign in TEXTUAL:
        return TEXTUAL[sign](text(left), text(right))
    x, y = number(left), number(right)
    if sign in ("/", "\\", "#") and not y:
        raise IrisError("<DIVIDE>")
    if sign in ("/", "\\"):
        quotient = Decimal(x) / Decimal(y)
        return number(quotient) if sign == "/" else math.trunc(quotient)
    if sign == "#":
        return number(Decimal(x) - Decimal(y) * math.floor(Decimal(x) / Decimal(y)))
    result = ARITHMETIC[sign](x, y)
    return int(result) if isinstance(result, bool) else number(result)


@dataclass(frozen=True)
class Procedure:
    """One label with its formal parameters and its body."""

    formals: list[str]
    public: bool
    body: Run

    def call(self, iris: Any, arguments: list[Value]) -> Value:
        """Run it: a dictionary is a variable by reference, anything else a value."""
        if len(arguments) > len(self.formals):
            raise IrisError("<PARAMETER>")
        local = Frame(iris)
        for formal, given in zip(self.formals, arguments, strict=False):
            local[formal] = given if isinstance(given, dict) else {(): given}
        try:
            self.body(local)
        except _Left as left:
            return left.value
        return None


class Routine:
    """A routine from its source."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        macros: list[tuple[str, str]] = re.findall(r"^#define (\w+) (.*)$", source, re.MULTILINE)
        for macro, meaning in macros:
            source = re.sub(rf"\$\$\${macro}(?![A-Za-z0-9])", meaning.replace("\\", r"\\"), source)
        self.labels = set(re.findall(r"^(%?\w+)\(", source, re.MULTILINE))
        self._procedures: dict[str, Procedure] = {}
        heads = r"^(%?\w+)\(([^)\n]*)\) (?:(PUBLIC|PRIVATE) \{\n(.*?)^\}|;[^\n]*\n((?:    [^\n]*\n)*))"
        for label, formals, access, braced, plain in re.findall(heads, source, re.MULTILINE | re.DOTALL):
            names = [formal.strip() for formal in formals.split(",") if formal.strip()]
            body = Parser(self, braced or plain).block("end")
            self._procedures[label] = Procedure(names, access != "PRIVATE", body)

    def call(self, iris: Any, label: str, arguments: list[Value], *, outside: bool) -> Value:
        """Call a label. From outside of the routine it has to be public."""
        procedure = self._procedures.get(label)
        if procedure is None or (outside and not procedure.public):
            raise IrisError(f"<NOLINE>{label}^{self.name}")
        return procedure.call(iris, arguments)


def variable_of(local: Frame, name: str) -> Variable:
    """Return the tree of a variable; those whose names begin with ^ are kept by the instance."""
    if name == "^$ROUTINE":  # the compiled routines of this namespace
        return dict.fromkeys(((routine,) for routine in local.iris.routines), "")
    known: Variables = local.iris.globals if name.startswith("^") else local
    return known.setdefault(name, {})


class Parser:
    """Turns the text of a procedure's body into functions of its local variables."""

    def __init__(self, routine: Routine, source: str) -> None:
        self._routine = routine
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(source):
            found = TOKEN.match(source, position)
            if found is None:
                raise SyntaxError(f"{routine.name}: {source[position : position + 60]!r}")
            position = found.end()
            kind = found.lastgroup or ""
            if kind != "space":
                self._tokens.append((kind, found[0]))
            if found[0] == "?":  # a pattern is a language of its own
                pattern = re.compile(rf"(?:{PATTERN.pattern})+").match(source, position)
                assert pattern is not None
                self._tokens.append(("pattern", pattern[0]))
                position = pattern.end()
        self._tokens.append(("end", "end"))
        self._at = 0

    # --- tokens

    @property
    def _next(self) -> str:
        return self._tokens[self._at][1]

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _take(self, expected: str = "") -> str:
        taken = self._next
        if expected and taken.lower() != expected:
            near = " ".join(token for _, token in self._tokens[max(0, self._at - 8) : self._at + 3])
            raise SyntaxError(f"{self._routine.name}: {expected!r} expected in {near!r}")
        self._at += 1
        return taken

    def _skip(self, wanted: str) -> bool:
        if self._next.lower() != wanted:
            return False
        self._at += 1
        return True

    def _newlines(self) -> None:
        while self._kind == "newline":
            self._at += 1

    # --- commands

    def block(self, ends: str) -> Run:
        """Parse commands up to the token that ends them."""
        commands: list[Run] = []
        self._newlines()
        while not self._skip(ends):
            commands.append(self._command())
            self._newlines()

        def run(local: Frame) -> None:
            for command in commands:
                command(local)

        return run

    def _braces(self) -> Run:
        self._take("{")
        return self.block("}")

    def _command(self) -> Run:
        name = self._take().lower()
        condition = self.expression() if self._skip(":") else None
        parse = getattr(self, f"_do_{name}", None)
        if parse is None:
            raise SyntaxError(f"{self._routine.name}: no command {name!r}")
        command: Run = parse()
        if condition is None:
            return command
        return lambda local: command(local) if number(condition(local)) else None

    def _several(self, parse: Callable[[], Run]) -> Run:
        runs = [parse()]
        while self._skip(","):
            runs.append(parse())
        return lambda local: [run(local) for run in runs]

    def _do_set(self) -> Run:
        return self._several(self._assignment)

    def _assignment(self) -> Run:
        name, subscripts, path = self._place()
        self._take("=")
        value = self.expression()

        def run(local: Frame) -> None:
            if path:
                target = variable_of(local, name)[()]
                for part in path[:-1]:
                    target = local.iris.property_of(target, part)
                local.iris.set_property(target, path[-1], value(local))
            else:
                variable_of(local, name)[subscripts(local)] = value(local)

        return run

    def _place(self) -> tuple[str, Callable[[Frame], Subscripts], list[str]]:
        """A variable with its subscripts, or a property of an object."""
        if self._kind not in ("name", "global"):
            raise SyntaxError(f"{self._routine.name}: no variable: {self._next!r}")
        name, path = self._take(), []
        if self._next == ".":
            while self._skip("."):
                path.append(self._take())
            return name, lambda _: (), path
        given = self._arguments() if self._next == "(" else []
        return name, lambda local: tuple(text(one(local)) for one in given), path

    def _do_do(self) -> Run:
        return self._several(self.expression)

    def _do_quit(self) -> Run:
        value = None if self._kind in ("newline", "end") or self._next == "}" else self.expression()

        def run(local: Frame) -> None:
            raise _Left(None if value is None else value(local))

        return run

    def _do_if(self) -> Run:
        branches = [(self.expression(), self._braces())]
        otherwise: Run | None = None
        while True:
            self._newlines()
            if self._skip("elseif"):
                branches.append((self.expression(), self._braces()))
            elif self._skip("else"):
                otherwise = self._braces()
            else:
                break

        def run(local: Frame) -> None:
            for condition, body in branches:
                if number(condition(local)):
                    body(local)
                    return
            if otherwise is not None:
                otherwise(local)

        return run

    def _do_while(self) -> Run:
        condition, body = self.expression(), self._braces()

        def run(local: Frame) -> None:
            try:
                while number(condition(local)):
                    body(local)
            except _Left as left:
                if left.value is not None:
                    raise SyntaxError("QUIT with an argument in a loop") from left

        return run

    def _do_for(self) -> Run:
        name = self._take()
        self._take("=")
        values = [self._range()]
        while self._skip(","):
            values.append(self._range())
        body = self._braces()

        def run(local: Frame) -> None:
            try:
                for value in values:
                    for one in value(local):
                        local.setdefault(name, {})[()] = one
                        body(local)
            except _Left as left:
                if left.value is not None:
                    raise SyntaxError("QUIT with an argument in a loop") from left

        return run

    def _range(self) -> Run:
        parts = [self.expression()]
        while self._skip(":"):
            parts.append(self.expression())

        def values(local: Frame) -> Any:
            known = [part(local) for part in parts]
            if len(known) == 1:
                yield known[0]
                return
            value, step = number(known[0]), number(known[1])
            while len(known) == 2 or value <= number(known[2]):
                yield value
                value += step

        return values

    def _do_try(self) -> Run:
        body = self._braces()
        self._newlines()
        self._take("catch")
        name = self._take() if self._kind == "name" else ""
        catch = self._braces()

        def run(local: Frame) -> None:
            try:
                body(local)
            except IrisError as error:
                if name:
                    local[name] = {(): local.iris.exception(error)}
                catch(local)
            except _Left as left:
                if left.value is not None:
                    raise SyntaxError("QUIT with an argument inside TRY") from left

        return run

    def _do_kill(self) -> Run:
        name, subscripts, _ = self._place()

        def run(local: Frame) -> None:
            variable, prefix = variable_of(local, name), subscripts(local)
            for key in [key for key in variable if key[: len(prefix)] == prefix]:
                del variable[key]

        return run

    def _do_lock(self) -> Run:
        sign = self._take()
        name, subscripts, _ = self._place()
        timeout = self.expression() if self._skip(":") else None
        return lambda local: local.iris.lock(sign, name, subscripts(local), timeout and timeout(local))

    def _do_hang(self) -> Run:
        seconds = self.expression()
        return lambda local: local.iris.hang(number(seconds(local)))

    def _do_write(self) -> Run:
        return self._several(self._written)

    def _written(self) -> Run:
        if self._skip("!"):
            return lambda local: local.iris.write("\n")
        value = self.expression()
        return lambda local: local.iris.write(text(value(local)))

    def _do_job(self) -> Run:
        label = self._take() + self._take()
        given = self._arguments()
        self._take(":")
        self._take(":")
        timeout = self.expression()
        return lambda local: local.iris.job(label, [one(local) for one in given], timeout(local))

    # --- expressions

    def expression(self) -> Run:
        """Parse operands and operators, from left to right."""
        value = self._operand()
        while self._next in BINARY:
            value = self._applied(self._take(), value, self._operand())
        return value

    @staticmethod
    def _applied(sign: str, left: Run, right: Run) -> Run:
        if sign == "&&":
            return lambda local: int(bool(number(left(local))) and bool(number(right(local))))
        if sign == "||":
            return lambda local: int(bool(number(left(local))) or bool(number(right(local))))
        if sign == "?":
            return lambda local: int(matches(text(left(local)), right(local)))
        return lambda local: operate(sign, left(local), right(local))

    def _operand(self) -> Run:
        kind, token = self._kind, self._take()
        if kind == "operator":
            return self._signed(token)
        if kind in ("string", "pattern", "number"):
            constants = {"string": token[1:-1].replace('""', '"'), "pattern": token, "number": number(token)}
            return lambda _: constants[kind]
        if kind == "extrinsic":
            return self._call(*token[2:].partition("^")[::2])
        if kind == "function":
            return self._function(token.lower())
        if kind in ("system", "class"):
            name = token if kind == "system" else re.sub(r"^##class\((.*)\)", r"\1", token, flags=re.IGNORECASE)
            given = self._arguments()
            return self._members(lambda local: local.iris.class_method(name, [one(local) for one in given]))
        if kind in ("name", "global"):
            return self._named(kind, token)
        raise SyntaxError(f"{self._routine.name}: {token!r} in an expression")

    def _signed(self, token: str) -> Run:
        if token == "(":
            inner = self.expression()
            self._take(")")
            return inner
        if token == "." and self._next == ".":  # ..Method(), of the object itself
            return self._members(lambda local: local.iris.this)
        if token == ".":
            name = self._take()
            return lambda local: local.setdefault(name, {})
        operand = self._operand()
        unary: dict[str, Run] = {
            "-": lambda local: -number(operand(local)),
            "+": lambda local: number(operand(local)),
            "'": lambda local: int(not number(operand(local))),
        }
        return unary[token]

    def _named(self, kind: str, token: str) -> Run:
        if kind == "name" and self._kind == "global":  # label^ROUTINE, after DO
            return self._call(token, self._take()[1:])
        if kind == "name" and self._next == "(" and token in self._routine.labels:
            return self._call(token, "")
        self._at -= 1
        name, subscripts, path = self._place() if self._tokens[self._at + 1][1] != "." else (self._take(), lambda _: (), [])

        def value(local: Frame) -> Value:
            variable, key = variable_of(local, name), subscripts(local)
            if key not in variable:
                raise IrisError(f"<UNDEFINED>{name}{key or ''}")
            return variable[key]

        assert not path
        return self._members(value)

    def _members(self, value: Run) -> Run:
        while self._skip("."):
            name = self._take()
            value = self._member(value, name, self._arguments() if self._next == "(" else None)
        return value

    def _member(self, of: Run, name: str, given: list[Run] | None) -> Run:
        if given is None:
            return lambda local: local.iris.property_of(of(local), name)
        return lambda local: local.iris.method_of(of(local), name)(*[one(local) for one in given])

    def _call(self, label: str, routine: str) -> Run:
        given = self._arguments() if self._next == "(" else []

        def run(local: Frame) -> Value:
            target = local.iris.routine(routine) if routine else self._routine
            return target.call(local.iris, label, [one(local) for one in given], outside=bool(routine))

        return run

    def _arguments(self) -> list[Run]:
        self._take("(")
        given: list[Run] = []
        while not self._skip(")"):
            given.append(self.expression())
            if self._next != ")":
                self._take(",")
        return given

    def _function(self, name: str) -> Run:
        if name in ("$get", "$data", "$text", "$select"):
            return getattr(self, f"_{name[1:]}")()  # type: ignore[no-any-return]
        if self._next != "(":
            return lambda local: local.iris.special(name)
        given = self._arguments()
        return lambda local: local.iris.function(name, [one(local) for one in given])

    def _get(self) -> Run:
        self._take("(")
        name, subscripts, _ = self._place()
        default = self.expression() if self._skip(",") else None
        self._take(")")

        def value(local: Frame) -> Value:
            found = variable_of(local, name).get(subscripts(local))
            return found if found is not None else default(local) if default else ""

        return value

    def _data(self) -> Run:
        self._take("(")
        name, subscripts, _ = self._place()
        self._take(")")
        return lambda local: int(subscripts(local) in variable_of(local, name))

    def _text(self) -> Run:
        self._take("(")
        offset: Run | None = None
        label = ""
        if self._skip("+"):
            offset = self._operand_before_routine()
        else:
            label = self._take()
        routine = self._take()[1:]
        self._take(")")
        return lambda local: local.iris.line_of(label, int(number(offset(local))) if offset else 0, routine)

    def _operand_before_routine(self) -> Run:
        """A number or a simple variable: what follows it is no subscript, but ^ROUTINE."""
        kind, token = self._kind, self._take()
        if kind == "number":
            return lambda _: number(token)
        return lambda local: local[token][()]

    def _select(self) -> Run:
        self._take("(")
        cases = []
        while True:
            condition = self.expression()
            self._take(":")
            cases.append((condition, self.expression()))
            if self._skip(")"):
                break
            self._take(",")

        def value(local: Frame) -> Value:
            for condition, one in cases:
                if number(condition(local)):
                    return one(local)
            raise IrisError("<SELECT>")

        return value
