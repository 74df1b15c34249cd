"""Run by az's own Python: `[[word, ...], ...]` from stdin; prints, for each, what az's parser objects to, or an empty text."""

import contextlib
import importlib
import io
import json
import sys
from typing import Any


def objection(cli: Any, words: list[str]) -> str:
    """The parser's part of what az does with a line; nothing is run."""
    said = io.StringIO()
    invoker = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    cli.invocation = invoker
    loader = invoker.commands_loader
    try:
        with contextlib.redirect_stderr(said):
            loader.load_command_table(words)
            invoker.data["command_string"] = loader.command_name = invoker._rudimentary_get_command(words)
            cli.raise_event("CommandInvoker.OnPreArgumentLoad", commands_loader=loader)  # adds --subscription
            loader.load_arguments(loader.command_name)
            invoker.parser.load_command_table(loader)
            invoker.parser.parse_args(words)
    except SystemExit:
        return said.getvalue().partition("\n")[0] or "az ends at once"
    return ""


if __name__ == "__main__":
    cli = importlib.import_module("azure.cli.core").get_default_cli()
    json.dump([objection(cli, words) for words in json.load(sys.stdin)], sys.stdout)
