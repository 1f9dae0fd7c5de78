"""The API server: objects, versions, patches, schemas and the HTTP around them."""
