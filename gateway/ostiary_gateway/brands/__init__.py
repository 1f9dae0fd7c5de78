"""Brand registries: which marks are looked for, where they are protected, who may sell under them. Pure."""
