"""Jobs: `decide` says what is next (pure), `plan` makes the run plan (pure), `controller` does it."""
