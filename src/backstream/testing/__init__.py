"""A kit for tests: scripted upstreams, cuts, conformance checks."""
