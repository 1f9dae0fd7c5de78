"""What characters read as, whatever they are drawn or disguised as: the same in gateways and in pods. Pure."""
