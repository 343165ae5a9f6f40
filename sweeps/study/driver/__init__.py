"""One driver a study: the locks that keep a second one out, wherever the study lies."""
