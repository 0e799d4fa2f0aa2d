"""Process start and composition: the settings, the certificates, the request path, and the one file that knows every room."""
