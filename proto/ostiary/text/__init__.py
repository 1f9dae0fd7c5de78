"""What characters read as, however they are drawn or disguised, in gateways as in pods. Pure."""
