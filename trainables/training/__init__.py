"""An epoch of training, the same bits wherever it is run again."""
