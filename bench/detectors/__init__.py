"""What each detector finds and what it flags wrongly: `python -m bench.detectors`."""
