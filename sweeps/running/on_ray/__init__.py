"""The study's trials on Ray: on this machine, or on a cluster that is already up."""
