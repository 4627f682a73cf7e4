"""Code that several commands share: options, session, output, error messages, lazy imports."""
