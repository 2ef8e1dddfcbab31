from __future__ import annotations

import pytest

from farthing.core.subscription import is_subscription

TOKEN = "Bearer sk-ant-oat01-abc"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": TOKEN},
        {"authorization": "bearer  sk-ant-oat01-abc"},
        {"authorization": "Bearer other", "anthropic-beta": "effort-2025-11-24, oauth-2025-04-20"},
    ],
)
def test_a_login_is_known_by_its_token_or_its_beta(headers: dict[str, str]) -> None:
    assert is_subscription(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "sk-ant-api03-abc"},
        {"authorization": "Bearer sk-ant-api03-abc"},
        {"authorization": "Basic sk-ant-oat01-abc", "anthropic-beta": "oauth-2025-04-20"},
        {"authorization": TOKEN, "x-api-key": "sk-ant-api03-abc"},
        {"authorization": "Bearer key", "anthropic-beta": "not-oauth-2025-04-20"},
    ],
)
def test_an_api_key_is_none_also_as_a_bearer(headers: dict[str, str]) -> None:
    assert not is_subscription(headers)
