"""Networks whose weights are int8 and whose products are computed in int8."""
