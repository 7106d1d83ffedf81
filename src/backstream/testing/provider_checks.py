"""The checks of a provider as tests: ``pytest --pyargs backstream.testing.provider_checks --backstream-provider=…``."""

from __future__ import annotations

import asyncio

import pytest

from backstream.testing.providers import CHECKS, ProviderCase

__all__ = ["test_provider"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say once, and not by each of the checks, that no provider was named."""
    if not metafunc.config.getoption("--backstream-provider"):
        raise pytest.UsageError("pass --backstream-provider=MODULE:NAME")


@pytest.mark.parametrize("name", CHECKS)
def test_provider(name: str, backstream_provider: ProviderCase) -> None:
    """Hold the provider that the command line names to one promise."""

    async def check() -> None:
        async with asyncio.timeout(60):
            await CHECKS[name](backstream_provider)

    asyncio.run(check())
