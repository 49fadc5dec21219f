"""The schema's rule for the path prefixes of Ingresses and Gateways."""

import re
from typing import get_args

import pytest

from mcq_operator.api.network import RoutePath
from mcq_service.runtime.settings import Settings

[RULE] = get_args(RoutePath)[1].json_schema_extra["x-kubernetes-validations"]


def is_accepted(path: str) -> bool:
    """Evaluate the rule, which joins regular expressions by `&&`."""
    terms = re.findall(r"(!?)self\.matches\('([^']*)'\)", RULE["rule"])
    assert " && ".join(f"{negation}self.matches('{text}')" for negation, text in terms) == RULE["rule"]
    return all((re.search(text, path) is None) is bool(negation) for negation, text in terms)


@pytest.mark.parametrize("path", ["/", "/mcq", "/mcq/", "/teams/blue", "/v1.0/~me/a_b-c", "/..a/b..", "/..."])
def test_a_path_that_the_schema_accepts_starts_a_replica(path: str) -> None:
    assert is_accepted(path)
    assert Settings(root_path=path).root_path == path.rstrip("/")


@pytest.mark.parametrize(
    "path",
    [
        "mcq",
        "//",
        "/mcq//v1",
        "/mcq//",
        "/.",
        "/./",
        "/../v1",
        "/mcq/..",
        "/mcq/../v1",
        "/mcq/./v1",
        "/%2f",
        "/a b",
    ],
)
def test_a_path_that_a_replica_or_kubernetes_refuses_is_refused(path: str) -> None:
    assert not is_accepted(path)
