"""The page's files over HTTP, without a browser."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from mcq_service.api.page import _FILES, MEDIA_TYPES


@pytest.mark.parametrize("path", ["/", "/docs", "/page/main.js", "/page/base.css", "/page/icon.svg"])
def test_a_file_has_security_headers(url: str, path: str) -> None:
    """The headers allow only our own scripts, no frames, no sniffing and no referrer, and give the media type."""
    response = httpx.get(url + path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    for rule in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"):
        assert rule in policy.split("; ")
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-type"] in MEDIA_TYPES.values()


@pytest.mark.parametrize("sent", ["{}", "W/{}", '"other", {}', "*"])
def test_an_unchanged_file_is_not_sent_again(url: str, sent: str) -> None:
    """Every form of If-None-Match with the ETag gets 304 without a body."""
    etag = httpx.get(f"{url}/page/main.js").headers["etag"]
    second = httpx.get(f"{url}/page/main.js", headers={"If-None-Match": sent.format(etag)})
    assert (second.status_code, second.content, second.headers["etag"]) == (304, b"", etag)


def test_a_changed_file_is_sent(url: str) -> None:
    """The request has the ETag of another content."""
    response = httpx.get(f"{url}/page/main.js", headers={"If-None-Match": '"other"'})
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-cache")
    assert response.content


def test_head_has_the_same_headers_without_a_body(url: str) -> None:
    """curl -I and load balancers send HEAD."""
    whole, head = httpx.get(url), httpx.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "../routes/page.py",
        "..%2froutes%2fpage.py",
        "%2e%2e/app.py",
        "__init__.py",
        "",
    ],
)
def test_only_the_pages_files_are_served(url: str, name: str) -> None:
    """Any other path, in any spelling, gets a problem document."""
    response = httpx.get(f"{url}/page/{name}")
    assert (response.status_code, response.json()["type"]) == (
        404,
        "https://mcq-operator.dev/problems/not-found",
    )


class _Markup(HTMLParser):
    """Collects every address, and inline code that a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.inline += [name for name in names if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.inline.append(tag)
        self.addresses += [value for name in ("src", "href") if (value := names.get(name))]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_has_no_inline_code_and_all_its_files_exist(url: str, path: str) -> None:
    """The page has no inline code, no foreign address and no missing file."""
    markup = _Markup()
    markup.feed(httpx.get(url + path).text)
    assert markup.inline == []
    assert markup.addresses
    for address in markup.addresses:
        # The address is relative, so it works below a path prefix.
        assert urlsplit(address)[:2] == ("", "")
        assert not address.startswith("/")
        assert httpx.get(urljoin(url + path, address)).status_code == 200


def test_no_script_writes_markup_or_requests_another_address() -> None:
    """The files don't even contain code that the policy would block."""
    assert len(_FILES) > 20
    for name, file in _FILES.items():
        text = file.content.decode()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http://",
            "https://",
        ):
            assert word not in text.replace("http://www.w3.org/2000/svg", ""), f"{name}: {word}"


def test_the_service_describes_its_limits_and_defaults(url: str) -> None:
    """The page and other programs read this description."""
    assert httpx.get(f"{url}/api/v1/service").json() == {
        "model": "scripted/model",
        "identity": {
            "uri": "hf://scripted/model",
            "revision": "1",
            "digest": "sha256:me",
            "precision": "int8",
            "prompt_digest": "sha256:prompt",
        },
        "exam": None,
        "modes": ["answer", "explain", "reason"],
        "default_mode": "explain",
        "max_choices": 26,
        "max_reasoning_tokens": 512,
        "trace_url": "http://jaeger.example:16686/trace/{trace_id}",
        "ready": True,
        "status": "ready",
        "detail": "Answering questions.",
        "progress": None,
    }
