"""Where a back-end is, joined with how it is spoken to."""
