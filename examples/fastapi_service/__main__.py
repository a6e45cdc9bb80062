"""Serve on port 8000, and run jobs in the same process."""

import uvicorn

from examples.fastapi_service.service import create_app
from oban_pro.embedded import server_dsn

if __name__ == "__main__":
    with server_dsn() as dsn:
        uvicorn.run(create_app(dsn, queues={"default": 10}))
