"""Rule packs: versioned YAML data, and a pure matcher over text and barcodes."""
