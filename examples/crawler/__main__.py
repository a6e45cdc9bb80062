"""Crawl a folder, on a temporary PostgreSQL or on the server that OBAN_DSN names."""

import sys

from examples.crawler import crawl
from examples.running import run

folder = sys.argv[1] if len(sys.argv) > 1 else "."
found = run(crawl.build(folder))["report"]

print(f"{found['files']} files in {folder}, {found['bytes']:,} bytes")

for suffix, size in found["largest"]:
    print(f"  {suffix}: {size:,}")

for paths in found["copies"]:
    print("  equal: " + ", ".join(paths))
