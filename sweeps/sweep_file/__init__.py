"""The sweep file: its keys, how it is read, checked and said to be wrong."""
