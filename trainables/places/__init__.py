"""Where studies and stores live: a folder of a file system, or one of an object store."""
