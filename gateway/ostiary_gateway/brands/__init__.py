"""Brand registries: which marks are looked for, where they are protected, and who may sell under them. Pure."""
