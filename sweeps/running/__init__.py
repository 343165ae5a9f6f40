"""How trials are handed out and run, on Ray or in this process, until the study is done."""
