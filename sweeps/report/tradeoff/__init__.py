"""What a network loses for how much smaller and faster it becomes, by method."""
