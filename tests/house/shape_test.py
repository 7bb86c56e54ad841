#!/usr/bin/env python3
"""shape_test.py ROOT - no file and no function too long to hold in the head, no thread-local state."""
import sys
from pathlib import Path
import house

root = Path(sys.argv[1])
sys.exit(house.report("shape", [*house.shape(root), *house.thread_locals(root)]))
