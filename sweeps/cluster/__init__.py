"""A cluster that ``ray up`` started, commanded from another machine."""
