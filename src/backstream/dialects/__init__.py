"""Frames and chunks, requests and bytes, both ways: one package per dialect. Pure."""
