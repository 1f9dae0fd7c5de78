"""Engines: what runs a bundle's model. One package per architecture.

Nothing of torch is imported before a bundle's engine is loaded: a bundle can be inspected without it.
"""

from importlib import import_module
from types import ModuleType
from typing import cast

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.engine import Engine

# Engine named in the manifest → module whose open_engine loads it.
_MODULES = {"qwen3-vl": "ostiary_moderation.engines.qwen3_vl.engine"}


def import_libraries(bundle: Bundle) -> ModuleType:
    """Imports what the bundle's engine is made of, which takes seconds the first time."""
    return import_module(_MODULES[bundle.manifest.engine])


def load_engine(bundle: Bundle, threads: int) -> Engine:
    """The bundle's model, loaded, for `threads` CPU threads.

    Raises:
        BundleError: the bundle's files do not fit together.
    """
    module = import_libraries(bundle)
    return cast(Engine, module.open_engine(bundle, threads))
