"""One file a subcommand of ``tombola``."""
