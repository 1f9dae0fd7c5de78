"""Field types that the manifest's parts share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Strict(BaseModel):
    """Unknown fields are refused: a misspelt setting must not look like one that was never given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
