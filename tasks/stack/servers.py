"""The stack's servers: `python -m corpusmill.tasks.stack.servers prefect|mlflow PORT`.

As `prefect server start` and `mlflow server` start them, but behind a `KeyMiddleware`. They run in
the stack's folder, which holds all their state.
"""

import os
import sys
from pathlib import Path

import uvicorn

from corpusmill.tasks.stack.authentication import App, KeyMiddleware, read_key


def prefect() -> App:
    """The Prefect server: API, pages, and services such as its scheduler."""
    from prefect.server.api.server import create_app

    return create_app(final=True)


def mlflow() -> App:
    """The MLflow server, its database brought up to date."""
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    store, root = "sqlite:///mlflow/mlflow.db", "mlflow-artifacts:/"
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: root,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "./mlflow/artifacts",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    initialize_backend_stores(store, store, root)
    from mlflow.server import fastapi_app

    app: App = fastapi_app.app
    return app


def main(name: str, port: int) -> None:
    """Serves until a signal ends it."""
    app = {"prefect": prefect, "mlflow": mlflow}[name]()
    application = KeyMiddleware(app, port, read_key(Path.cwd()))
    # No log of accesses: the key is in the address of one of them.
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=port,
        access_log=False,
        log_level="warning",
        # Else it waits for open web sockets (a browser's tab, say) without end.
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
