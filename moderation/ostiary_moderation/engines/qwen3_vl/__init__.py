"""Qwen3-VL through transformers: one prefill per image, every answer a branch on the same cache."""
