"""In which form a caller wants its answer."""

from dataclasses import dataclass

from ostiary_operator.sandbox.api import status, wire

JSON = "application/json"
READS = (JSON, "application/yaml", wire.MEDIA_TYPE)
"""Media types that bodies are read in."""


@dataclass(frozen=True)
class Accept:
    """What the caller wants to get."""

    table: bool
    metadata_only: bool
    discovery: str
    protobuf: bool = False
    """Whether nothing but protobuf will do: whoever takes JSON too gets JSON."""

    @classmethod
    def of(cls, header: str) -> "Accept":
        """What the header says; status.ApiError (406) where that is nothing that there is."""
        table = metadata_only = False
        aggregated, plain, protobuf = "", not header.strip(), False
        for part in header.split(","):
            words = [word.strip() for word in part.split(";")]
            options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
            media = words[0]
            protobuf = protobuf or (media == wire.MEDIA_TYPE and "as" not in options)
            if media not in (JSON, "application/*", "*/*"):
                plain = plain or media.startswith("text/") or "openapi" in media
                continue
            kind = options.get("as", "")
            if plain and not kind:
                continue
            if kind == "Table" and options.get("g") == "meta.k8s.io" and options.get("v") == "v1":
                table = table or not (plain or metadata_only)
                plain = True
            elif kind in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                metadata_only = metadata_only or not (plain or table)
                plain = True
            elif kind == "APIGroupDiscoveryList":
                aggregated = aggregated or options.get("v", "")
                plain = True
            elif not kind:
                plain = True
        if not (plain or protobuf):
            raise status.not_acceptable(READS)
        known = aggregated if aggregated in ("v2", "v2beta1") else ""
        return cls(table, metadata_only, known, protobuf=not plain)
