import pytest

from serve import routes
from serve.routes import TemplateError

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("mirrors", "mirrors", {}),
        ("mirrors", "MIRRORS/", {}),
        ("mirrors", "mirrors/x", None),
        ("mirrors/{mirror}", "mirrors/PROD", {"mirror": "PROD"}),
        ("mirrors/{mirror}", "mirrors", None),
        ("mirrors/{mirror}", "mirrors//", None),
        ("mirrors/{mirror}/audit", "mirrors/PROD/Audit", {"mirror": "PROD"}),
        ("a/{x?}", "a", {}),
        ("a/{x?}", "a/b", {"x": "b"}),
        ("a/{x:int?}", "a", {}),
        ("a/{x:int?}", "a/b", None),
        ("{*rest}", "", {}),
        ("f/{*rest}", "f/a/b", {"rest": "a/b"}),
        ("n/{i:int}", "n/-5", {"i": "-5"}),
        ("n/{i:int}", "n/2147483648", None),
        ("n/{i:long}", "n/2147483648", {"i": "2147483648"}),
        ("n/{i:int}", "n/٣", None),
        ("n/{a:alpha}", "n/abc", {"a": "abc"}),
        ("n/{a:alpha}", "n/a1", None),
        ("n/{g:guid}", f"n/{GUID}", {"g": GUID}),
        ("n/{g:guid}", "n/0f8", None),
        ("n/{b:bool}", "n/TRUE", {"b": "TRUE"}),
        ("n/{b:bool}", "n/1", None),
        ("n/{r:regex(^[0-9]{{2}}:/$)}", "n/12:", None),
        ("n/{r:regex(^[0-9]{{2}}$)}", "n/12", {"r": "12"}),
        ("n/{r:regex(^[0-9]{{2}}$)}", "n/123", None),
        ("n/{s:length(2)}", "n/ab", {"s": "ab"}),
        ("n/{s:length(2)}", "n/abc", None),
        ("n/{s:length(2,3)}", "n/abc", {"s": "abc"}),
        ("n/{s:minlength(2)}", "n/a", None),
        ("n/{s:maxlength(2)}", "n/abc", None),
        ("n/{s:alpha:maxlength(2)}", "n/ab", {"s": "ab"}),
        ("n/{s:alpha:maxlength(2)}", "n/a1", None),
    ],
)
def test_template_matches_as_aspnet_does(template: str, path: str, values: dict[str, str] | None) -> None:
    """A template fits a path, in any case, if each literal, constraint and optional part does."""
    assert routes.parse(template).match(path) == values


@pytest.mark.parametrize(
    "template", ["{x:float}", "a{x}", "{x}-{y}", "{x=1}", "{*rest}/more", "{x?}/more", "{x:length(two)}", "{}"]
)
def test_template_that_is_not_understood_is_refused(template: str) -> None:
    """A template that this host could only match wrongly is refused when the app starts."""
    with pytest.raises(TemplateError, match="'"):
        routes.parse(template)
