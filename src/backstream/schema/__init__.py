"""Structured output: Python types to JSON schemas, the forms vendors take of them, and answers back to types. Pure."""

from __future__ import annotations

from backstream.schema.answer import leave_out_nulls, parse_answer
from backstream.schema.anthropic import anthropic_schema
from backstream.schema.check import Problem, find_problems
from backstream.schema.gemini import gemini_json_schema, gemini_schema
from backstream.schema.refs import inline_refs
from backstream.schema.strict import strict_schema
from backstream.schema.types import decode_hook, encode_hook, schema_for, schema_hook, schema_name
from backstream.schema.walk import Schema, check_schema

__all__ = [
    "Problem",
    "Schema",
    "anthropic_schema",
    "check_schema",
    "decode_hook",
    "encode_hook",
    "find_problems",
    "gemini_json_schema",
    "gemini_schema",
    "inline_refs",
    "leave_out_nulls",
    "parse_answer",
    "schema_for",
    "schema_hook",
    "schema_name",
    "strict_schema",
]
