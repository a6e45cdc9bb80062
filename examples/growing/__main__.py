"""Run both on a PostgreSQL of their own, or on that of OBAN_DSN."""

import sys

from examples.growing import duplicates, pages
from examples.running import run

folder = sys.argv[1] if len(sys.argv) > 1 else "."
found = run(duplicates.build(folder))

print(f"{len(found['measure'])} files in {folder}, {len(found['report'])} of them more than once")

for paths in found["report"]:
    print("  " + " = ".join(paths))

total = run(pages.build())["total"]

print(f"{total['modules']} modules from {total['pages']} pages")
