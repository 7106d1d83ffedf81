"""The only folder that opens outbound sockets, and files; knows no dialect."""
