"""Run the pipeline, on a temporary PostgreSQL or on the server that OBAN_DSN names."""

import sys

from examples.etl import pipeline
from examples.running import run

path = sys.argv[1] if len(sys.argv) > 1 else "zones.db"
results = run(pipeline.build(path))

print(f"{results['report']['loaded']} zones in {path}")

for region, zones in results["report"]["largest"]:
    print(f"  {region}: {zones}")
