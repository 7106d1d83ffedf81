"""Bytes and frames, both ways: lines, events, HTTP values. No sockets, no clock, no meaning."""
