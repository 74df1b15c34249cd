import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve import edge


@pytest.mark.parametrize(
    ("raw", "path", "url"),
    [
        ("/api/mirrors/PROD", "/api/mirrors/PROD", "http://h/api/mirrors/PROD"),
        ("/api/n%20x%2Fy", "/api/n x%2Fy", "http://h/api/n%20x%2Fy"),
        ("/api/n%2fy", "/api/n%2Fy", "http://h/api/n%2Fy"),
        ("/api/%41%7e", "/api/A~", "http://h/api/A~"),
        ("/api/%c3%a9", "/api/é", "http://h/api/%C3%A9"),
        ("/api/a/../b/./c", "/api/b/c", "http://h/api/b/c"),
        ("/api/%2e%2e/b", "/b", "http://h/b"),
        ("/../../b/..", "/", "http://h/"),
        ("/api/!$&()*+,;=:@'", "/api/!$&()*+,;=:@'", "http://h/api/!$&()*+,;=:@'"),
        ('/api/"<>^`{|}', '/api/"<>^`{|}', "http://h/api/%22%3C%3E%5E%60%7B%7C%7D"),
        ("http://other/api/x?q=%20", "/api/x", "http://h/api/x?q=%20"),
        ("/x?", "/x", "http://h/x"),
    ],
)
def test_url_is_decoded_and_escaped_anew(raw: str, path: str, url: str) -> None:
    """The function sees the decoded path escaped anew and the query as sent; `%2F` stays, dot segments go."""
    target = edge.target(raw)

    assert target.path == path
    assert target.url("h") == url


def test_front_end_decodes_the_slash() -> None:
    """App Service's front end makes `%2F` a slash before the host sees the path."""
    assert edge.target("/api/a%2Fb%2f..%2fc", front_end=True).path == "/api/a/c"


@given(st.text(st.characters(codec="utf-8", exclude_characters="?#%"), max_size=30).map(lambda text: "/" + text))
def test_escaping_is_stable(path: str) -> None:
    """What the function sees as url decodes to the same path and url again."""
    first = edge.target(path)

    assert edge.target(first.url("h").removeprefix("http://h")) == first


def test_repeated_headers_are_joined_without_a_space() -> None:
    """Names come in lower case; repeated lines become one value joined with a comma and no space."""
    raw = [(b"Signature", b"a=:x:"), (b"Accept", b"*/*"), (b"signature", b"b=:y:")]

    assert edge.headers(raw) == {"signature": "a=:x:,b=:y:", "accept": "*/*"}


def test_query_drops_empty_values_and_joins_repeats() -> None:
    """`req.params` has no empty values, and repeats joined with a comma."""
    assert edge.target("/x?a=1&b=&a=2&c=%20+z").parameters() == {"a": "1,2", "c": "  z"}


@pytest.mark.parametrize(
    ("sent", "length"),
    [
        ({"content-length": "3"}, 3),
        ({"content-length": "0"}, 0),
        ({}, 0),
        ({"transfer-encoding": "chunked"}, 0),
        ({"transfer-encoding": "chunked", "content-length": "3"}, 0),
        ({"content-length": "-1"}, 0),
    ],
)
def test_only_an_announced_body_is_passed_on(sent: dict[str, str], length: int) -> None:
    """Only a body with a Content-Length reaches the function; a chunked one arrives empty."""
    assert edge.body_bytes(sent) == length


@pytest.mark.parametrize(
    ("sent", "query", "key"),
    [
        ([b"h"], "code=q", "h"),
        ([b"h", b"i"], "", "h"),
        ([b"", b"h"], "code=q", ""),
        ([], "code=q", "q"),
        ([], "CODE=q&code=r", "q"),
        ([], "code=&code=q", ""),
        ([b""], "code=q", ""),
        ([], "", ""),
    ],
)
def test_first_key_counts_and_the_header_before_code(sent: list[bytes], query: str, key: str) -> None:
    """Of several keys the first counts; `?code=` only where there is no header, and an empty header is one."""
    assert edge.key_sent([(b"X-Functions-Key", value) for value in sent], query) == key


def test_empty_key_opens_nothing() -> None:
    """No key, or an empty one, opens no function, even where an accepted key is empty by mistake."""
    assert not edge.opens("", ["", "k"])
    assert not edge.opens("K", ["k"])
    assert edge.opens("k", ["", "k"])
