"""Run the survey on a PostgreSQL of its own, or on that of OBAN_DSN."""

from examples.running import run
from examples.summarise import survey

for what, found in run(survey.build())["summarise"].items():
    print(f"{what}: {found}")
