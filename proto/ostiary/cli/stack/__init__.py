"""A gateway and pods on this machine, as child processes: what `ostiary up` and `ostiary down` do."""
