#!/usr/bin/env python3
"""pages_test.py ROOT - what the headers promise and the program takes is what docs/man explains."""
import sys
from pathlib import Path
import house

root = Path(sys.argv[1])
if not house.promised(root):
    sys.exit("pages: no public function found, so nothing was checked")
sys.exit(house.report("pages", [*house.pages(root), *house.words(root)]))
