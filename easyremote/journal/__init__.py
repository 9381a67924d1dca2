"""A journal on disk: rows in SQLite, large payloads as files; what is acknowledged is not lost."""
