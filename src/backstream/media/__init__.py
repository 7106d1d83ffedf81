"""Media: bytes, their type, and data URIs."""
