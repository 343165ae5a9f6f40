"""How long layers take over their options, measured, and a network whose budget is that."""
