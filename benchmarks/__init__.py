"""Measurements: what a promise about speed or memory rests on. They measure; tests assert behaviour."""
