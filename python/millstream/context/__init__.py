"""The context: the one place where the parts are joined. A user's arguments come in, a running program goes out."""
