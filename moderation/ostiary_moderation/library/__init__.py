"""The stock prompt library: what `ostiary model init` writes into a new bundle. Data, in the YAML files here.

A bundle holds its own copy, so that its digest covers every word that the model is told; nothing is read from
here when a bundle is served.
"""

from ostiary_moderation.library.stock import stock_attributes, stock_prompts, stock_questions

__all__ = ["stock_attributes", "stock_prompts", "stock_questions"]
