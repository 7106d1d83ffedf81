"""Names that stand for other names: aliases, and routing lists. Pure; knows no provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstream.registry.document import Document
from backstream.registry.server_config import RouteList

__all__ = ["check_routes", "models_of", "route_named"]


def check_routes(document: Document, aliases: Mapping[str, str], routes: Mapping[str, RouteList]) -> None:
    """Check that every name means one thing, and that following names comes to an end.

    Raises:
        ConfigurationError: A name is an alias and a routing list, or names lead in a circle.
    """
    for name in routes:
        if name in aliases:
            raise document.error(["routes", name], "is the name of an alias too", "give one of them another name")
    after: dict[str, Sequence[str]] = {name: (at,) for name, at in aliases.items()}
    after |= {name: route.to for name, route in routes.items()}
    ended: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            table = "aliases" if way[0] in aliases else "routes"
            raise document.error([table, way[0]], f"leads in a circle: {' → '.join([*way, name])}")
        if name in ended:
            return
        for each in after.get(name, ()):
            follow(each, (*way, name))
        ended.add(name)

    for name in after:
        follow(name, ())


def route_named(name: str, aliases: Mapping[str, str], routes: Mapping[str, RouteList]) -> str | None:
    """Return the routing list that a name means, itself or by aliases; ``None`` where it means none."""
    while name in aliases:
        name = aliases[name]
    return name if name in routes else None


def models_of(route: str, aliases: Mapping[str, str], routes: Mapping[str, RouteList]) -> Sequence[str]:
    """Return the models of a routing list in their order, each once; lists in it are opened, aliases followed."""
    found: dict[str, None] = {}
    for listed in routes[route].to:
        name = listed
        while name in aliases:
            name = aliases[name]
        found |= dict.fromkeys(models_of(name, aliases, routes) if name in routes else [name])
    return list(found)
