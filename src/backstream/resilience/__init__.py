"""What makes a call survive trouble: wrappers around a route, each route in, route out.

The order, outermost first: mid-stream policy, fallback, breaker, retry, limit, deadline (``stack.py``).
Knows no provider, no dialect and no client; see ``docs/decisions/2026-11-22-resilience.md``.
"""
