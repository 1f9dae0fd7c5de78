"""Is a candidate as good as what it is to follow. Pure: figures in, a judgement out."""
