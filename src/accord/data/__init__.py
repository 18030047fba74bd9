"""From labelled files to token ids: reading, validation, tokenising, storing, checking."""
