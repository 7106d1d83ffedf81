"""The gateway: an ASGI application, and the server that runs it."""
